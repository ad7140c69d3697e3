//! One module per command.

pub(crate) mod bench;
pub(crate) mod calibrate;
pub(crate) mod demo;
pub(crate) mod export;
pub(crate) mod extend;
pub(crate) mod import;
pub(crate) mod inspect;
pub(crate) mod key;
pub(crate) mod manual;
pub(crate) mod predict;
pub(crate) mod route;
pub(crate) mod serve;
pub(crate) mod show;
pub(crate) mod train;
