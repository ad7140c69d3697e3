#![no_main]

#[path = "targets/request.rs"]
mod target;
#[path = "targets/upstream.rs"]
mod upstream;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
