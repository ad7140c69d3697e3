//! The real binary over real files: what it prints, what it writes, how it ends.
//!
//! A test of package `pointsman-cli`, because cargo builds a binary for the tests of its own package only.
#![forbid(unsafe_code)]

mod base;
mod broken;
mod calibrate;
mod controls;
mod damage;
mod demo;
mod evidence;
mod extend;
mod gateway;
mod import;
mod lines;
mod loop_closed;
mod printed;
mod route;
mod shutdown;
mod workbench;
mod workflow;
