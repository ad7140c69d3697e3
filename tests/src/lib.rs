//! Everything that crosses a crate boundary; this library holds what several test programs share.
//!
//! | test | asks |
//! |---|---|
//! | `property` | does it hold for any text, any policy, any artifact |
//! | `formats` | does every released artifact open and predict the same bits; is every damaged one refused |
//! | `allocations` | does routing allocate after warm-up |
//! | `wordpiece` | are token identifiers those of the `tokenizers` crate |
//! | `features` | do training and serving see the same features |
//! | `determinism` | does the same log give the same artifact |
//! | `snapshots` | what do errors say |
//! | `gateway` | what becomes of requests whose upstreams fail |
//! | `e2e` (of package `pointsman-cli`) | does the binary do what it promises, over real files |
//!
//! # Modules
//!
//! | module | holds |
//! |---|---|
//! | [`logs`] | evaluation logs to test on |
//! | [`requests`] | logged prompts as the requests that serving would get |
//! | [`fixture`] | the committed artifact and what it must predict |
//! | [`fakeup`] | fakes of upstreams under a script; also a program |
#![forbid(unsafe_code)]

#[path = "../fakeup/mod.rs"]
pub mod fakeup;
pub mod fixture;
pub mod logs;
pub mod requests;
