//! Which of the targets that nothing else tells apart goes first: the sooner done of two drawn by lot. Two and not all, or
//! several gateways would meet at the same target.
//!
//! Where they differ in price the lots are weighted by its inverse square, as `OpenRouter` documents for its providers: of two
//! that are equally soon done one of a dollar is first nine times as often as one of three. Both lots are drawn from all of
//! them then, so that the shares are those of the weights, and the sooner done of the two still counts.

/// What a lot is drawn for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lot {
    /// When it would be done: the smaller the sooner.
    pub(super) load: f64,
    /// What it costs, 0 or more; `None` where nobody knows, or where that makes no difference.
    pub(super) price: Option<f64>,
}

/// The position of the one to go first among `n` that are sorted by load; `n` above 0. `chance` gives numbers in `[0, 1)`.
pub(super) fn first(n: usize, lot: impl Fn(usize) -> Lot, chance: &mut impl FnMut() -> f64) -> usize {
    let prices = || (0..n).filter_map(|at| lot(at).price);
    let cheapest = prices().fold(f64::INFINITY, f64::min);
    let dearest = prices().fold(0.0, f64::max);
    if cheapest < dearest {
        // One whose price nobody knows may be the dearest. What costs nothing leaves nothing to the others.
        let weight = |at: usize| {
            let price = lot(at).price.unwrap_or(dearest);
            if price > cheapest { (cheapest / price).powi(2) } else { 1.0 }
        };
        let one = weighted(n, weight, chance());
        let other = weighted(n, weight, chance());
        return if lot(other).load < lot(one).load { other } else { one };
    }
    // Of all that are equally soon done each is first as often, or those at the front would get everything.
    if n == 1 || lot(n - 1).load <= lot(0).load {
        return pick(n, chance());
    }
    let one = pick(n, chance());
    let other = (one + 1 + pick(n - 1, chance())) % n;
    one.min(other)
}

/// A position below `n`, each as often.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a position below n")]
fn pick(n: usize, chance: f64) -> usize {
    ((n as f64 * chance) as usize).min(n - 1)
}

/// A position below `n`, each as often as its weight says; one of them weighs something.
fn weighted(n: usize, weight: impl Fn(usize) -> f64, chance: f64) -> usize {
    let mut left = chance * (0..n).map(&weight).sum::<f64>();
    let falls = |at: &usize| {
        left -= weight(*at);
        left < 0.0
    };
    // What is left is 0 where rounding has it so.
    (0..n).find(falls).unwrap_or(n - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers in `[0, 1)` that a seed determines.
    fn chances() -> impl FnMut() -> f64 {
        let mut state = 7_u64;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / (1_u64 << 31) as f64
        }
    }

    /// How often each is first in 10,000 draws.
    fn firsts<const N: usize>(lots: [(f64, Option<f64>); N]) -> [usize; N] {
        let (mut counts, mut chance) = ([0; N], chances());
        for _ in 0..10_000 {
            let lot = |at: usize| Lot { load: lots[at].0, price: lots[at].1 };
            counts[first(N, lot, &mut chance)] += 1;
        }
        counts
    }

    /// Three standard deviations of a share of 10,000.
    fn is_share(count: usize, share: f64) {
        let spread = 3.0 * (10_000.0 * share * (1.0 - share)).sqrt();
        assert!((count as f64 - 10_000.0 * share).abs() <= spread, "{count} is not {share}");
    }

    #[test]
    fn a_dollar_is_nine_times_as_often_first_as_three() {
        let [one, three] = firsts([(1.0, Some(1.0)), (1.0, Some(3.0))]);
        is_share(one, 0.9);
        is_share(three, 0.1);
        let counts = firsts([(1.0, Some(1.0)), (1.0, Some(2.0)), (1.0, Some(3.0))]);
        for (count, weight) in counts.into_iter().zip([1.0, 1.0 / 4.0, 1.0 / 9.0]) {
            is_share(count, weight / (1.0 + 1.0 / 4.0 + 1.0 / 9.0));
        }
    }

    #[test]
    fn a_cheap_one_that_is_slow_loses_what_the_other_lot_wins() {
        // Both lots fall on the cheap one, or it loses.
        let [dear, cheap] = firsts([(1.0, Some(3.0)), (2.0, Some(1.0))]);
        is_share(cheap, 0.81);
        is_share(dear, 0.19);
        let [near, far] = firsts([(1.0, Some(1.1)), (2.0, Some(1.0))]);
        assert!(near > 2 * far, "at nearly the same price it loses most: {near} and {far}");
    }

    #[test]
    fn without_different_prices_the_lots_are_equal() {
        for price in [None, Some(0.0), Some(2.0)] {
            for count in firsts([(1.0, price); 4]) {
                is_share(count, 0.25);
            }
            let counts = firsts([(1.0, price), (2.0, price), (3.0, price), (4.0, price)]);
            for (count, share) in counts.into_iter().zip([1.0 / 2.0, 1.0 / 3.0, 1.0 / 6.0, 0.0]) {
                is_share(count, share);
            }
        }
        for count in firsts([(1.0, Some(1.0)), (1.0, None)]) {
            is_share(count, 0.5);
        }
    }

    #[test]
    fn an_unknown_price_counts_as_the_dearest_and_what_is_free_is_first() {
        let [one, three, unknown] = firsts([(1.0, Some(1.0)), (1.0, Some(3.0)), (1.0, None)]);
        is_share(one, 9.0 / 11.0);
        is_share(three, 1.0 / 11.0);
        is_share(unknown, 1.0 / 11.0);
        assert_eq!(firsts([(1.0, Some(1e-9)), (9.0, Some(0.0)), (9.0, None)]), [0, 10_000, 0]);
        assert_eq!(firsts([(1.0, Some(f64::MAX)), (9.0, Some(f64::MIN_POSITIVE))]), [0, 10_000]);
        assert_eq!(firsts([(1.0, Some(5.0))]), [10_000]);
    }
}
