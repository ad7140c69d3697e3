//! Panics of the Parquet decoder become errors, without a word on stderr.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Guarded calls under way in the process.
static GUARDED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `piece`; a panic in it, or in the decoder's own threads meanwhile, is returned and not printed.
///
/// The panic hook is wrapped once for the process. It is silent only for a thread that is inside this function, and,
/// while one is, for the threads that polars named; every other panic goes to the hook that was there before.
pub(crate) fn catch<T>(piece: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    static WRAP: Once = Once::new();
    WRAP.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let decodes = || std::thread::current().name().is_some_and(|name| name.starts_with("polars"));
            if !IS_GUARDED.get() && (GUARDED.load(Ordering::SeqCst) == 0 || !decodes()) {
                before(info);
            }
        }));
    });
    GUARDED.fetch_add(1, Ordering::SeqCst);
    let outer = IS_GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(piece));
    IS_GUARDED.set(outer);
    GUARDED.fetch_sub(1, Ordering::SeqCst);
    result
}
