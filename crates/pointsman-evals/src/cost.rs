//! What an outcome cost, by the best that is known.
//!
//! In this order: `cost_usd`; tokens × list price; characters ÷ 4 × list price (`output_chars` for the answer,
//! the prompt's own characters for the input); where nothing is known of the answer's length, an assumed number
//! of output tokens × list price.

use crate::log::{CostSource, Price};

/// Characters to a token where tokens are not reported: the common rule of thumb for English text. Text in other
/// scripts and code has fewer, so their estimates are low.
pub(crate) const CHARS_PER_TOKEN: f64 = 4.0;

/// What is known of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// NaN where not observed.
    pub(crate) cost_usd: f64,
    /// NaN where not reported.
    pub(crate) input_tokens: f64,
    /// As reported or from characters; NaN where neither is known.
    pub(crate) output_tokens: f64,
    /// Unicode characters of the prompt.
    pub(crate) prompt_chars: f64,
}

/// Cost of a call in USD, NaN where unknown, and how it is known.
pub(crate) fn cost(usage: &Usage, price: Option<Price>, assumed_output_tokens: f64) -> (f64, CostSource) {
    if !usage.cost_usd.is_nan() {
        return (usage.cost_usd, CostSource::Observed);
    }
    let Some(price) = price else {
        return (f64::NAN, CostSource::Unknown);
    };
    let input = if usage.input_tokens.is_nan() { usage.prompt_chars / CHARS_PER_TOKEN } else { usage.input_tokens };
    let (output, source) = if usage.output_tokens.is_nan() {
        (assumed_output_tokens, CostSource::Assumed)
    } else {
        (usage.output_tokens, CostSource::Estimated)
    };
    let usd = (input * price.input_usd_per_mtok + output * price.output_usd_per_mtok) / 1e6;
    (usd, source)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: Option<Price> = Some(Price { input_usd_per_mtok: 1.0, output_usd_per_mtok: 10.0 });
    const NOTHING: Usage =
        Usage { cost_usd: f64::NAN, input_tokens: f64::NAN, output_tokens: f64::NAN, prompt_chars: 400.0 };

    #[test]
    fn the_best_known_source_wins() {
        let tokens = Usage { input_tokens: 1000.0, output_tokens: 100.0, ..NOTHING };
        let observed = Usage { cost_usd: 0.5, ..tokens };
        assert_eq!(cost(&observed, PRICE, 150.0), (0.5, CostSource::Observed));
        assert_eq!(cost(&tokens, PRICE, 150.0), (0.002, CostSource::Estimated));
    }

    #[test]
    fn unknown_tokens_come_from_characters_and_the_assumption() {
        let answered = Usage { output_tokens: 10.0, ..NOTHING };
        assert_eq!(cost(&answered, PRICE, 150.0), (0.0002, CostSource::Estimated));
        assert_eq!(cost(&NOTHING, PRICE, 150.0), (0.0016, CostSource::Assumed));
    }

    #[test]
    fn no_price_and_no_cost_is_unknown() {
        let (usd, source) = cost(&NOTHING, None, 150.0);
        assert!(usd.is_nan());
        assert_eq!(source, CostSource::Unknown);
    }

    #[test]
    fn a_free_call_is_observed() {
        let free = Usage { cost_usd: 0.0, ..NOTHING };
        assert_eq!(cost(&free, PRICE, 150.0), (0.0, CostSource::Observed));
    }
}
