//! Numbers as public implementations compute them, quirks included.
//!
//! Use these to compare with published figures, the strict forms for everything else. Each module names the code
//! it follows; what could not be followed is marked `DIFFERENCE`.

pub mod routellm;
pub mod routerarena;
pub mod routerbench;
