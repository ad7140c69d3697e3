//! Smooth convex functions of many variables, minimised: limited-memory BFGS.
//!
//! # References
//! - Nocedal & Wright (2006), *Numerical Optimization*, algorithms 7.4 and 7.5, with a backtracking line search.

use std::collections::VecDeque;

use crate::error::Error;

/// Steps remembered; between 3 and 20 it hardly matters (Nocedal & Wright), and each costs two copies of the variables.
const MEMORY: usize = 5;

/// A step must bring this share of what the slope promises.
const SUFFICIENT: f64 = 1e-4;

/// Halvings of a step before the search ends: nothing is left to gain in single precision.
const MOST_HALVINGS: usize = 12;

/// Gradients this many times shorter than the first end the search.
const TOLERANCE: f64 = 1e-2;

/// Moves `x` towards the minimum of `objective`, which returns the value at its first argument and writes the gradient to
/// its second; at most `steps` steps.
#[expect(clippy::cast_possible_truncation, reason = "variables are single precision")]
pub(crate) fn minimise(
    x: &mut [f32],
    steps: usize,
    mut objective: impl FnMut(&[f32], &mut [f32]) -> Result<f64, Error>,
) -> Result<(), Error> {
    let mut gradient = vec![0.0; x.len()];
    let mut value = objective(x, &mut gradient)?;
    let goal = TOLERANCE * norm(&gradient);
    let mut pairs: VecDeque<Pair> = VecDeque::with_capacity(MEMORY);
    let mut candidate = vec![0.0; x.len()];
    let mut next_gradient = vec![0.0; x.len()];
    for _ in 0..steps {
        if norm(&gradient) <= goal {
            break;
        }
        let direction = descent(&gradient, &pairs);
        let slope = dot(&direction, &gradient);
        if slope >= 0.0 {
            break;
        }
        // Without a memory of curvature the first step is a short one.
        let mut step = if pairs.is_empty() { (1.0 / norm(&gradient)).min(1.0) } else { 1.0 };
        let mut found = None;
        for _ in 0..MOST_HALVINGS {
            for ((candidate, x), d) in candidate.iter_mut().zip(x.iter()).zip(&direction) {
                *candidate = x + step as f32 * d;
            }
            let next = objective(&candidate, &mut next_gradient)?;
            if next <= value + SUFFICIENT * step * slope {
                found = Some(next);
                break;
            }
            step *= 0.5;
        }
        let Some(next) = found else { break };
        let moved: Vec<f32> = candidate.iter().zip(x.iter()).map(|(new, old)| new - old).collect();
        let turned: Vec<f32> = next_gradient.iter().zip(&gradient).map(|(new, old)| new - old).collect();
        let curvature = dot(&moved, &turned);
        if curvature > 1e-12 * norm(&moved) * norm(&turned) {
            if pairs.len() == MEMORY {
                pairs.pop_front();
            }
            pairs.push_back(Pair { scale: curvature / dot(&turned, &turned), curvature, moved, turned });
        }
        x.copy_from_slice(&candidate);
        std::mem::swap(&mut gradient, &mut next_gradient);
        value = next;
    }
    Ok(())
}

/// One remembered step: how far `x` moved, how the gradient turned.
struct Pair {
    moved: Vec<f32>,
    turned: Vec<f32>,
    curvature: f64,
    /// Size of the inverse curvature along this step.
    scale: f64,
}

/// The two-loop recursion: minus the inverse Hessian, as far as it is remembered, times the gradient.
#[expect(clippy::cast_possible_truncation, reason = "variables are single precision")]
fn descent(gradient: &[f32], pairs: &VecDeque<Pair>) -> Vec<f32> {
    let mut direction: Vec<f32> = gradient.iter().map(|g| -g).collect();
    let mut shares = Vec::with_capacity(pairs.len());
    for pair in pairs.iter().rev() {
        let share = dot(&pair.moved, &direction) / pair.curvature;
        add(&mut direction, -share, &pair.turned);
        shares.push(share);
    }
    if let Some(last) = pairs.back() {
        for d in &mut direction {
            *d = (f64::from(*d) * last.scale) as f32;
        }
    }
    for (pair, share) in pairs.iter().zip(shares.iter().rev()) {
        let back = dot(&pair.turned, &direction) / pair.curvature;
        add(&mut direction, share - back, &pair.moved);
    }
    direction
}

#[expect(clippy::cast_possible_truncation, reason = "variables are single precision")]
fn add(sum: &mut [f32], factor: f64, values: &[f32]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += factor as f32 * value;
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    // Blocks in single precision would lose digits over millions of variables; eight sums let the processor overlap.
    let mut lanes = [0.0_f64; 8];
    let (a_blocks, b_blocks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 =
        a_blocks.remainder().iter().zip(b_blocks.remainder()).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    for (a, b) in a_blocks.zip(b_blocks) {
        for lane in 0..8 {
            lanes[lane] += f64::from(a[lane]) * f64::from(b[lane]);
        }
    }
    lanes.iter().sum::<f64>() + rest
}

fn norm(x: &[f32]) -> f64 {
    dot(x, x).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_valley_is_walked_to_its_bottom() {
        let mut x = vec![0.0_f32; 20];
        let objective = |x: &[f32], gradient: &mut [f32]| {
            let mut value = 0.0;
            for (i, (x, gradient)) in x.iter().zip(gradient).enumerate() {
                let steep = 10_f32.powf(i as f32 / 10.0);
                let off = x - i as f32;
                value += 0.5 * f64::from(steep * off * off);
                *gradient = steep * off;
            }
            Ok(value)
        };
        minimise(&mut x, 200, objective).expect("nothing fails");
        // The search ends where the gradient is a hundredth of what it was at the start, about 2,300.
        let slopes = x.iter().enumerate().map(|(i, x)| (x - i as f32) * 10_f32.powf(i as f32 / 10.0));
        assert!(slopes.map(f32::abs).all(|slope| slope < 23.0), "{x:?}");
    }

    #[test]
    fn the_bottom_is_not_left() {
        let mut x = vec![3.0_f32];
        let at_bottom = |x: &[f32], gradient: &mut [f32]| {
            gradient[0] = x[0] - 3.0;
            Ok(0.5 * f64::from(gradient[0]).powi(2))
        };
        minimise(&mut x, 10, at_bottom).expect("nothing fails");
        assert_eq!(x[0].to_bits(), 3.0_f32.to_bits());
    }
}
