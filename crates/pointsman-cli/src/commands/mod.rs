//! One module per command.

pub(crate) mod bench;
pub(crate) mod demo;
pub(crate) mod route;
pub(crate) mod serve;
pub(crate) mod show;
pub(crate) mod train;
