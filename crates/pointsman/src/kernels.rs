//! Inner loops, with their arithmetic specified: integer sums are exact in any order, and floating-point sums
//! run in eight interleaved lanes that are added in one fixed tree. Every instruction set gives the same bits.

pub(crate) mod dispatch;

/// Adds one int8 row into `sum`, which has its length.
#[inline(always)]
pub(crate) fn add_row(row: &[i8], sum: &mut [i32]) {
    // In blocks of eight, so that the compiler need not ask which of its own ways suits so short a row.
    let (blocks, rest) = row.as_chunks::<8>();
    let (sum_blocks, sum_rest) = sum.as_chunks_mut::<8>();
    for (total, block) in sum_blocks.iter_mut().zip(blocks) {
        *total = std::array::from_fn(|lane| total[lane] + i32::from(block[lane]));
    }
    for (total, &value) in sum_rest.iter_mut().zip(rest) {
        *total += i32::from(value);
    }
}

/// Adds `weight` times a row into `sum`, which has its length.
#[inline(always)]
pub(crate) fn add_scaled(row: &[f32], weight: f32, sum: &mut [f32]) {
    for (total, &value) in sum.iter_mut().zip(row) {
        *total += weight * value;
    }
}

/// Dot product of two vectors of one length, in the specified order.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    debug_assert_eq!(a.len(), b.len());
    let mut lanes = [0.0_f32; 8];
    let a_blocks = a.chunks_exact(8);
    let b_blocks = b.chunks_exact(8);
    for (lane, (x, y)) in lanes.iter_mut().zip(a_blocks.remainder().iter().zip(b_blocks.remainder())) {
        *lane = x * y;
    }
    for (x, y) in a_blocks.zip(b_blocks) {
        for lane in 0..8 {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))
}

/// Sum of the squared distances of `x` from `center`, each times its precision: eight interleaved lanes, block by block, then
/// the remainder, added in the same tree as [`dot`].
#[inline(always)]
pub(crate) fn squared_distance(x: &[f32], center: &[f32], precision: &[f32]) -> f32 {
    debug_assert!(x.len() == center.len() && x.len() == precision.len());
    let mut lanes = [0.0_f32; 8];
    let (x, center, precision) = (x.chunks_exact(8), center.chunks_exact(8), precision.chunks_exact(8));
    let rest = x.remainder().iter().zip(center.remainder()).zip(precision.remainder());
    let rest = rest.map(|((x, center), precision)| (x - center) * (x - center) * precision);
    for ((x, center), precision) in x.zip(center).zip(precision) {
        for lane in 0..8 {
            let off = x[lane] - center[lane];
            lanes[lane] += off * off * precision[lane];
        }
    }
    for (lane, term) in lanes.iter_mut().zip(rest) {
        *lane += term;
    }
    ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))
}

/// `out[r] = weight[r] · x + bias[r]` for a row-major matrix `[out.len(), x.len()]`.
#[inline(always)]
pub(crate) fn affine(weight: &[f32], bias: &[f32], x: &[f32], out: &mut [f32]) {
    for ((out, row), bias) in out.iter_mut().zip(weight.chunks_exact(x.len())).zip(bias) {
        *out = dot(row, x) + bias;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_added() {
        let mut sum = [1, 2];
        add_row(&[-128, 127], &mut sum);
        assert_eq!(sum, [-127, 129]);
        let mut sum = [1.0, 2.0];
        add_scaled(&[2.0, -4.0], 0.5, &mut sum);
        assert_eq!(sum.map(f32::to_bits), [2.0_f32, 0.0].map(f32::to_bits));
    }

    #[test]
    fn dot_takes_any_length() {
        for n in 0..40 {
            let x: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let expected: f32 = (0..n).map(|i| (i * i) as f32).sum();
            assert!((dot(&x, &x) - expected).abs() <= expected * 1e-6);
        }
    }

    #[test]
    fn distances_take_any_length() {
        for n in 0..40 {
            let x: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let expected: f32 = (0..n).map(|i| ((i - 3) * (i - 3)) as f32 * 0.5).sum();
            let found = squared_distance(&x, &vec![3.0; x.len()], &vec![0.5; x.len()]);
            assert!((found - expected).abs() <= expected * 1e-6);
        }
    }

    #[test]
    fn affine_is_row_by_row() {
        let mut out = [0.0; 2];
        affine(&[1.0, 2.0, 3.0, 4.0], &[0.5, -0.5], &[1.0, 1.0], &mut out);
        assert_eq!(out.map(f32::to_bits), [3.5_f32, 6.5].map(f32::to_bits));
    }
}
