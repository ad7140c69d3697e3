//! Our own `exp` and `ln`, so that every instruction set gives the same bits.
//!
//! Only IEEE 754 additions, multiplications and divisions in a fixed order are used; these are exactly
//! specified, and the compiler neither reorders nor contracts them. The platform's `libm` gives no such promise.

/// 1/13! … 1/1!, 1: `|r| ≤ 0.3466` leaves an error below 2⁻⁵⁰.
const TAYLOR: [f64; 14] = [
    1.0 / 6_227_020_800.0,
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5_040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
    1.0,
    1.0,
];

/// How many at once pays: two wide registers.
pub(crate) const LANES: usize = 8;

/// `e^x` in double precision, relative error below 1e-13 for `x` in `[-700, 700]`.
///
/// Outside that range the argument is clamped, so the result is always finite and positive; NaN stays NaN.
///
/// # References
/// Cody & Waite (1980), range reduction by `ln 2` in two parts, then a Taylor polynomial on `|r| ≤ ln 2 / 2`.
#[inline(always)]
pub fn exp(x: f64) -> f64 {
    exp_lanes([x])[0]
}

/// [`exp`] of several numbers at once, each with the bits it has alone: a chain of fourteen steps that wait for each other, walked
/// abreast.
#[inline(always)]
pub(crate) fn exp_lanes<const N: usize>(x: [f64; N]) -> [f64; N] {
    const LN2_HI: f64 = 6.931_471_803_691_238e-1;
    const LN2_LO: f64 = 1.908_214_929_270_587_7e-10;
    /// From here to twice as much, doubles are the whole numbers.
    const WHOLE: f64 = 4_503_599_627_370_496.0;
    // Loops, and no closures: what is not inlined keeps the narrow registers.
    let (mut k, mut r, mut y) = ([0.0; N], [0.0; N], [0.0; N]);
    for lane in 0..N {
        let x = x[lane].clamp(-700.0, 700.0);
        k[lane] = (x * std::f64::consts::LOG2_E + if x < 0.0 { -0.5 } else { 0.5 }).trunc();
        r[lane] = (x - k[lane] * LN2_HI) - k[lane] * LN2_LO;
    }
    for c in TAYLOR {
        for lane in 0..N {
            y[lane] = y[lane] * r[lane] + c;
        }
    }
    for lane in 0..N {
        // The biased exponent of 2^k as a whole number in the low bits, moved to where an exponent stands.
        y[lane] *= f64::from_bits(((k[lane] + 1023.0) + WHOLE).to_bits() << 52);
    }
    y
}

/// Natural logarithm in double precision, relative error below 1e-13; `x` must be positive, finite and normal.
///
/// # References
/// Mantissa in `[√½, √2)`, then `ln m = 2 artanh((m − 1)/(m + 1))` as a series in odd powers.
#[inline(always)]
pub fn ln(x: f64) -> f64 {
    debug_assert!(x.is_normal() && x > 0.0, "ln of {x}");
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff).cast_signed() - 1023;
    let mut m = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000);
    if m > std::f64::consts::SQRT_2 {
        m *= 0.5;
        exponent += 1;
    }
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let mut series = 0.0;
    // |s| ≤ 0.1716: the term after s^21 is below 1e-17.
    for odd in (0..=10).rev() {
        series = series * z + 1.0 / f64::from(2 * odd + 1);
    }
    2.0 * s * series + exponent as f64 * std::f64::consts::LN_2
}

/// `ln(1 + n)` of a count, the usual squashing of lengths and frequencies.
pub fn ln_1p_count(n: usize) -> f64 {
    ln(1.0 + n as f64)
}

/// The logistic function `1 / (1 + e^-x)`, in `(0, 1)`.
#[inline(always)]
pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + exp(-x))
}

/// Inverse of [`sigmoid`], with `p` held inside `[1e-4, 1 − 1e-4]` so that a mean of 0 or 1 stays finite.
pub fn logit(p: f64) -> f64 {
    let p = p.clamp(1e-4, 1.0 - 1e-4);
    ln(p / (1.0 - p))
}

/// Turns logits into probabilities in place, in index order.
#[expect(clippy::cast_possible_truncation, reason = "probabilities are stored in single precision")]
#[inline(always)]
pub fn softmax(logits: &mut [f32]) {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    let (blocks, rest) = logits.as_chunks_mut::<LANES>();
    for block in blocks {
        let mut exponents = [0.0; LANES];
        for (exponent, x) in exponents.iter_mut().zip(block.iter()) {
            *exponent = f64::from(*x - max);
        }
        for (x, e) in block.iter_mut().zip(exp_lanes(exponents)) {
            sum += e;
            *x = e as f32;
        }
    }
    for x in rest {
        let e = exp(f64::from(*x - max));
        sum += e;
        *x = e as f32;
    }
    for x in logits.iter_mut() {
        *x = (f64::from(*x) / sum) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_the_platform() {
        for i in -7000..7000 {
            let x = f64::from(i) * 0.0997;
            let relative = (exp(x) / x.exp() - 1.0).abs();
            assert!(relative < 1e-13, "exp({x}): relative error {relative}");
        }
        let alone = [-1e9, -701.0, -0.25, -0.0, 0.0, 1e-300, 3.5, 1e9].map(|x| exp(x).to_bits());
        assert_eq!(exp_lanes([-1e9, -701.0, -0.25, -0.0, 0.0, 1e-300, 3.5, 1e9]).map(f64::to_bits), alone);
        assert!(exp(f64::NAN).is_nan());
        assert!(exp(f64::INFINITY).is_finite());
        assert!(exp(f64::NEG_INFINITY) > 0.0);
    }

    #[test]
    fn ln_agrees_with_the_platform() {
        for i in 1..20_000 {
            let x = f64::from(i) * f64::from(i) * 0.001_7;
            assert!((ln(x) - x.ln()).abs() <= 1e-13 * x.ln().abs().max(1.0), "ln({x})");
        }
    }

    #[test]
    fn softmax_sums_to_one_and_survives_large_logits() {
        let mut x = [1000.0_f32, 999.0, -1000.0];
        softmax(&mut x);
        assert!((x.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(x[0] > x[1] && x[1] > x[2]);
    }

    #[test]
    fn logit_inverts_sigmoid() {
        for i in -80..80 {
            let x = f64::from(i) * 0.1;
            assert!((logit(sigmoid(x)) - x).abs() < 1e-9);
        }
        assert!(logit(0.0).is_finite() && logit(1.0).is_finite());
    }
}
