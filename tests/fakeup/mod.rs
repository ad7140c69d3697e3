//! Fakes of upstreams under a script: chat completions over real sockets, and every way in which they fail.
//!
//! ```text
//! script ─┐
//! request ┴─► plan: pieces of an answer, each with its time, and how it ends ─► socket
//!    └─► record: what reached the fake, when, and whether the client stayed
//! ```
//!
//! An answer is made of its request: a nonce, which is the last word of the last message, and numbered tokens, so that a
//! client can tell that an answer is its own, complete and in order ([`content::check`]). What is sent is a pure function of
//! script and request ([`plan`]); only [`fake`] knows sockets.
//!
//! In a test: [`Fake::start`], [`Fake::set`], [`Fake::kill`], [`Fake::requests`]. From outside, on the same listener:
//! `GET /_fakeup/record`, `GET /_fakeup/stats`, `PUT /_fakeup/script`; a [`Panel`] has the same for several fakes under
//! `/_fakeup/NAME/…` and answers for one that refuses connections, too.
//!
//! HTTP/1.1 is spoken by hand: half of the answers are none, and a library would not write them.
//!
//! # Map
//!
//! | module | does |
//! |---|---|
//! | [`script`] | what a fake does |
//! | [`content`] | what an answer says, and whether one is what it should be |
//! | [`plan`] | script × request → pieces of an answer |
//! | [`record`] | what reached a fake |
//! | [`fake`] | the listener |
//! | [`setup`] | several fakes at once, as a file has them |
//! | `connection` | one connection |
//! | `control` | the endpoints for scripts and records |
//! | `wire` | bytes in and out, plain or TLS |

mod connection;
pub mod content;
mod control;
pub mod fake;
pub mod plan;
pub mod record;
pub mod script;
pub mod setup;
mod wire;

pub use control::Panel;
pub use fake::Fake;
pub use record::{Seen, Stats};
pub use script::{Fault, Script, Span, Usage};
