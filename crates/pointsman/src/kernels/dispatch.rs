//! One body of code, compiled for every processor and once more for those with AVX2, chosen at run time.
//!
//! Both are the same safe Rust; the compiler may only use wider registers for the second. Neither fuses or reorders
//! floating-point operations, so both give the same bits. A build with the variable `POINTSMAN_NARROW` set has the first
//! alone; `tests/examples/fingerprint.rs` compares the two.

/// Code that is worth compiling for wider registers.
pub(crate) trait Kernel {
    /// Must be `#[inline(always)]`, and so must be what it calls in its loops: what stays a call keeps the narrow registers.
    fn run(self);
}

/// Runs `kernel` in the widest registers that this processor has.
#[inline(always)]
pub(crate) fn widest(kernel: impl Kernel) {
    #[cfg(target_arch = "x86_64")]
    if is_wide() {
        #[expect(unsafe_code, reason = "the one call of a function that not every processor can run")]
        // SAFETY: the processor has what the function uses, as just asked.
        return unsafe { run_wide(kernel) };
    }
    kernel.run();
}

/// Whether this build does without wide registers.
#[cfg(target_arch = "x86_64")]
const IS_NARROW: bool = option_env!("POINTSMAN_NARROW").is_some();

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn is_wide() -> bool {
    !IS_NARROW
        && is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("popcnt")
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
fn run_wide(kernel: impl Kernel) {
    kernel.run();
}
