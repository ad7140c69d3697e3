//! Targets in words to λ, the policy's one parameter.
//!
//! ```text
//! target  = "quality" ">=" amount | "cost" "<=" amount | "share" [ "(" model ")" ] "<=" number
//! amount  = number [ "*" "best" ]            number = decimal [ "%" ]
//! ```
//! `best` is the quality or cost of the best single model, the one of the best mean quality in training. A quality alone is
//! between 0 and 1, a cost alone in USD per call, a share between 0 and 1: of calls to the named model, else to
//! the dearest.

use std::fmt;
use std::str::FromStr;

use pointsman::artifact::{Artifact, CurvePoint, Document, identity};
use pointsman::policy::Currency;
use pointsman::{Features, Router};
use pointsman_evals::Split;
use pointsman_evals::log::EvalLog;
use pointsman_metrics::Point;
use serde::Serialize;
use serde_json::json;

use crate::dataset::featurise;
use crate::error::Error;
use crate::forecast::Forecast;

/// Fewest validation prompts that are believed more than the artifact's own curve: below, a mean score is not known to
/// a tenth.
const FEWEST_PROMPTS: usize = 30;

/// Settings of λ tried on validation prompts, per decade, over seven decades around the spread of costs. Four times as many
/// as in training: here the setting itself is the result.
const LAMBDAS_PER_DECADE: i32 = 32;

/// The finite λ that stands for quality alone, in dearest calls per unit of quality: a billionth of quality outweighs
/// any cost, and predictions have seven digits.
const ENDLESS: f64 = 1e9;

/// What is wanted of the router on average.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// The least cost at a mean quality of at least this.
    Quality(Amount),
    /// The best quality at a mean cost of at most this.
    Cost(Amount),
    /// The best quality with at most a share of calls to one model.
    Share {
        /// In `[0, 1]`.
        at_most: f64,
        /// The model; `None`: the dearest.
        model: Option<String>,
    },
}

/// A quality (in `[0, 1]`) or a cost (USD per call, 0 or more).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// As it stands.
    Absolute(f64),
    /// Times that of the best single model; above 0.
    OfBest(f64),
}

impl Amount {
    fn resolve(self, best: f64) -> f64 {
        match self {
            Self::Absolute(amount) => amount,
            Self::OfBest(factor) => factor * best,
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absolute(amount) => write!(f, "{amount}"),
            Self::OfBest(factor) => write!(f, "{factor}*best"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quality(amount) => write!(f, "quality>={amount}"),
            Self::Cost(amount) => write!(f, "cost<={amount}"),
            Self::Share { at_most, model: None } => write!(f, "share<={at_most}"),
            Self::Share { at_most, model: Some(model) } => write!(f, "share({model})<={at_most}"),
        }
    }
}

impl FromStr for Target {
    type Err = Error;

    /// Reads a target; white space does not count outside a model's name, and `≥`, `≤` are as good as `>=`, `<=`.
    ///
    /// # Errors
    /// [`Error::BadTarget`], whose hint is the grammar.
    ///
    /// # Examples
    /// ```
    /// use pointsman_training::{Amount, Target};
    ///
    /// assert_eq!("quality >= 97 % * best".parse::<Target>()?, Target::Quality(Amount::OfBest(0.97)));
    /// assert!("quality <= 0.9".parse::<Target>().is_err());
    /// # Ok::<(), pointsman_training::Error>(())
    /// ```
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |expected, got: &str| Error::BadTarget { target: text.to_owned(), expected, got: got.to_owned() };
        let plain = text.replace('≥', ">=").replace('≤', "<=");
        // From the right: a model's name may hold anything.
        let Some(at) = plain.rfind(['<', '>', '=']) else { return Err(bad("`>=` or `<=`", text)) };
        let amount = plain[at + 1..].trim();
        let left = plain[..=at].trim_end();
        let measure = left.trim_end_matches(['<', '>', '=']);
        let sign = &left[measure.len()..];
        let measure = measure.trim();
        let model = measure.strip_prefix("share").map(str::trim).and_then(|rest| {
            if rest.is_empty() { Some(None) } else { Some(Some(rest.strip_prefix('(')?.strip_suffix(')')?.trim())) }
        });
        let wanted = match (measure, model) {
            ("quality", _) => ">=",
            ("cost", _) | (_, Some(_)) => "<=",
            _ => return Err(bad("quality, cost, share or share(MODEL)", measure)),
        };
        if sign != wanted {
            return Err(bad(if wanted == ">=" { "`>=` after quality" } else { "`<=` after cost or share" }, sign));
        }
        match (measure, model) {
            ("quality", _) => {
                let amount = parse_amount(amount).ok_or_else(|| bad("a number, or a number * best", amount))?;
                match amount {
                    Amount::Absolute(x) if x > 1.0 => Err(bad("a quality from 0 to 1", &x.to_string())),
                    _ => Ok(Self::Quality(amount)),
                }
            }
            ("cost", _) => match parse_amount(amount) {
                Some(Amount::Absolute(_)) if amount.ends_with('%') => {
                    Err(bad("USD per call, or a number * best", amount))
                }
                Some(amount) => Ok(Self::Cost(amount)),
                None => Err(bad("USD per call, or a number * best", amount)),
            },
            (_, Some(Some(""))) => Err(bad("a model between the brackets", measure)),
            (_, model) => match parse_number(amount) {
                Some(at_most) if at_most <= 1.0 => {
                    Ok(Self::Share { at_most, model: model.flatten().map(str::to_owned) })
                }
                _ => Err(bad("a share from 0 to 1", amount)),
            },
        }
    }
}

fn parse_amount(text: &str) -> Option<Amount> {
    let Some((a, b)) = text.split_once('*') else { return parse_number(text).map(Amount::Absolute) };
    let factor = match (a.trim(), b.trim()) {
        (number, "best") | ("best", number) => parse_number(number)?,
        _ => return None,
    };
    (factor > 0.0).then_some(Amount::OfBest(factor))
}

/// A number of 0 or more, perhaps in per cent.
fn parse_number(text: &str) -> Option<f64> {
    let (digits, unit) = match text.strip_suffix('%') {
        Some(digits) => (digits.trim_end(), 100.0),
        None => (text, 1.0),
    };
    let number = digits.parse::<f64>().ok()? / unit;
    (number >= 0.0 && number.is_finite()).then_some(number)
}

/// A target met.
#[derive(Clone, Debug, Serialize)]
pub struct Calibration {
    /// The target, in its shortest form.
    pub target: String,
    /// USD per unit of quality; `None` for quality alone.
    pub lambda: Option<f64>,
    /// The same as it stands in the artifact, where quality alone is a λ that outweighs any cost.
    pub default_lambda: f64,
    /// Where the expectations come from.
    pub source: Source,
    /// What to expect at this λ.
    pub expected: Reached,
    /// The best single model in training, and what it brings on the source's prompts.
    pub best_single: Single,
    /// What this λ brought on the log's test split, which played no part in choosing it; `None` without such rows.
    pub test: Option<Reached>,
}

/// Where expectations come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Source {
    /// Outcomes of the log's validation split.
    Validation {
        /// Prompts.
        prompts: usize,
    },
    /// The curve in the artifact, over training prompts.
    Curve {
        /// Validation prompts in the log that were too few to be used.
        passed_over: usize,
    },
}

/// What a setting brings on average.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Reached {
    /// Prompts behind the figures; `None` for the artifact's curve.
    pub prompts: Option<usize>,
    /// Mean quality.
    pub quality: f64,
    /// Mean USD per call; `None` where the router knows no costs.
    pub cost_usd: Option<f64>,
    /// Share of calls to the model counted, in `[0, 1]`; `None` for other targets.
    pub share: Option<f64>,
    /// The target as a number: quality, USD or share.
    pub bound: f64,
    /// Whether the target is met.
    pub met: bool,
}

/// A model and what always calling it brings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Single {
    /// Its name.
    pub model: String,
    /// Mean quality.
    pub quality: f64,
    /// Mean USD per call; `None` where the router knows no costs.
    pub cost_usd: Option<f64>,
}

/// Finds the λ that meets `target`: on the validation split of `log` where it has one, else on the artifact's curve.
///
/// Of the settings that meet it, the cheapest for a target of quality, the best for the others. Where a cell was not
/// observed, the prediction stands in.
///
/// # Errors
/// [`Error::Unreachable`] with the closest that can be had, [`Error::UnknownModel`], or [`Error::NoCosts`] for a
/// target that needs costs of a router that knows none.
pub fn calibrate(artifact: &Artifact, log: Option<&EvalLog>, target: &Target) -> Result<Calibration, Error> {
    let document = &artifact.document;
    let goal = Goal::new(document, target)?;
    let router = Router::from_artifact(artifact.clone());
    let validation = sample(&router, log, Split::Validation)?;
    let validated = validation.as_ref().filter(|forecast| forecast.predictions.len() >= FEWEST_PROMPTS);
    let (points, singles, source) = if let Some(forecast) = validated {
        let singles = forecast.singles(Currency::Cost);
        let source = Source::Validation { prompts: forecast.predictions.len() };
        (forecast.sweep(&lambdas(&singles), Currency::Cost)?, singles, source)
    } else {
        let single =
            |means: &pointsman::artifact::StaticMeans| Point::new(means.cost_usd.unwrap_or(0.0), means.quality);
        let passed_over = validation.as_ref().map_or(0, |forecast| forecast.predictions.len());
        (document.curve.clone(), document.statics.iter().map(single).collect(), Source::Curve { passed_over })
    };
    let prompts = validated.map(|forecast| forecast.predictions.len());
    let point = goal.choose(&points, singles[goal.best])?;
    let test = sample(&router, log, Split::Test)?
        .map(|forecast| {
            let lambda = point.lambda.unwrap_or(f64::INFINITY);
            let reached = forecast.sweep(&[lambda], Currency::Cost)?;
            let best = forecast.singles(Currency::Cost)[goal.best];
            Ok::<_, Error>(goal.reached(&reached[0], best, Some(forecast.predictions.len())))
        })
        .transpose()?;
    let dearest = singles.iter().map(|single| single.cost).fold(0.0, f64::max);
    let best = singles[goal.best];
    Ok(Calibration {
        target: target.to_string(),
        lambda: point.lambda,
        default_lambda: point.lambda.unwrap_or(ENDLESS * if dearest > 0.0 { dearest } else { 1.0 }),
        source,
        expected: goal.reached(point, best, prompts),
        best_single: Single {
            model: document.models[goal.best].clone(),
            quality: best.quality,
            cost_usd: goal.costs_known.then_some(best.cost),
        },
        test,
    })
}

/// The router with a calibrated default λ, as the bytes of its file and their SHA-256 in hex.
///
/// # Errors
/// [`Error::Artifact`], a defect of ours.
pub fn with_default(mut artifact: Artifact, calibration: &Calibration) -> Result<(Vec<u8>, String), Error> {
    artifact.document.decision.default_lambda = Some(calibration.default_lambda);
    let note = json!({ "target": calibration.target, "source": calibration.source });
    artifact.document.provenance.recipe.insert("calibration".to_owned(), note);
    let bytes = artifact.to_bytes().map_err(Error::Artifact)?;
    let identity = identity(&bytes);
    Ok((bytes, identity))
}

/// A target with its names resolved.
struct Goal<'a> {
    target: &'a Target,
    document: &'a Document,
    /// The best single model in training.
    best: usize,
    /// The model whose calls are counted.
    counted: Option<usize>,
    costs_known: bool,
}

impl<'a> Goal<'a> {
    fn new(document: &'a Document, target: &'a Target) -> Result<Self, Error> {
        let statics = &document.statics;
        let highest = |of: &dyn Fn(usize) -> f64| {
            (0..statics.len()).reduce(|best, m| if of(m) > of(best) { m } else { best }).unwrap_or(0)
        };
        let costs_known = statics.iter().any(|means| means.cost_usd.is_some());
        let needs_costs = matches!(target, Target::Cost(_) | Target::Share { model: None, .. });
        if needs_costs && !costs_known {
            return Err(Error::NoCosts { target: target.to_string() });
        }
        let counted = match target {
            Target::Share { model: Some(model), .. } => {
                let known = &document.models;
                let position = known.iter().position(|known| known == model);
                Some(position.ok_or_else(|| Error::UnknownModel { model: model.clone(), known: known.clone() })?)
            }
            Target::Share { model: None, .. } => Some(highest(&|m| statics[m].cost_usd.unwrap_or(0.0))),
            _ => None,
        };
        Ok(Self { target, document, best: highest(&|m| statics[m].quality), counted, costs_known })
    }

    /// The target as a number.
    fn bound(&self, best: Point) -> f64 {
        match self.target {
            Target::Quality(amount) => amount.resolve(best.quality),
            Target::Cost(amount) => amount.resolve(best.cost),
            Target::Share { at_most, .. } => *at_most,
        }
    }

    /// How far a point is from the target: at most 0 where it is met.
    fn excess(&self, point: &CurvePoint, best: Point) -> f64 {
        match self.target {
            Target::Quality(_) => self.bound(best) - point.quality,
            Target::Cost(_) => point.cost - self.bound(best),
            Target::Share { .. } => self.counted.map_or(0.0, |model| point.shares[model]) - self.bound(best),
        }
    }

    /// Equal but for rounding is met.
    fn met(&self, point: &CurvePoint, best: Point) -> bool {
        self.excess(point, best) <= 1e-9 * self.bound(best)
    }

    fn choose<'p>(&self, points: &'p [CurvePoint], best: Point) -> Result<&'p CurvePoint, Error> {
        let met = points.iter().filter(|point| self.met(point, best));
        let chosen = match self.target {
            Target::Quality(_) => met.min_by(|a, b| a.cost.total_cmp(&b.cost).then(b.quality.total_cmp(&a.quality))),
            // Of equals the first: `min_by` keeps it, and points come by rising λ.
            _ => met.min_by(|a, b| b.quality.total_cmp(&a.quality).then(a.cost.total_cmp(&b.cost))),
        };
        chosen.ok_or_else(|| {
            let nearest = points.iter().min_by(|a, b| self.excess(a, best).total_cmp(&self.excess(b, best)));
            let closest = nearest.map_or_else(String::new, |point| self.in_words(point, best));
            Error::Unreachable { target: self.target.to_string(), closest }
        })
    }

    /// A point in the words of the target.
    fn in_words(&self, point: &CurvePoint, best: Point) -> String {
        let of_best = |value: f64, best: f64| {
            if best > 0.0 { format!(" ({:.4}*best)", value / best) } else { String::new() }
        };
        match self.target {
            Target::Quality(_) => format!("quality {:.4}{}", point.quality, of_best(point.quality, best.quality)),
            Target::Cost(_) => format!("cost {:.3e} USD per call{}", point.cost, of_best(point.cost, best.cost)),
            Target::Share { .. } => {
                let model = self.counted.unwrap_or(0);
                format!("share({}) {:.4}", self.document.models[model], point.shares[model])
            }
        }
    }

    fn reached(&self, point: &CurvePoint, best: Point, prompts: Option<usize>) -> Reached {
        Reached {
            prompts,
            quality: point.quality,
            cost_usd: self.costs_known.then_some(point.cost),
            share: self.counted.map(|model| point.shares[model]),
            bound: self.bound(best),
            met: self.met(point, best),
        }
    }
}

/// The prompts of a split on which a model of the router was observed; `None` where there are none.
fn sample(router: &Router, log: Option<&EvalLog>, split: Split) -> Result<Option<Forecast>, Error> {
    let Some(log) = log else { return Ok(None) };
    let position = |name: &String| router.models().iter().position(|known| known == name);
    let in_router: Vec<Option<usize>> = log.models.iter().map(position).collect();
    let mut row_of = vec![None; log.prompts.len()];
    let mut rows = Vec::new();
    for outcome in log.outcomes.iter().filter(|outcome| in_router[outcome.model as usize].is_some()) {
        let prompt = outcome.prompt as usize;
        if log.prompts[prompt].split == split && row_of[prompt].is_none() {
            row_of[prompt] = Some(rows.len());
            rows.push(prompt);
        }
    }
    if rows.is_empty() {
        return Ok(None);
    }
    let featuriser = pointsman::Featuriser::with_base(router.weights().base.clone());
    let mut features = Vec::with_capacity(rows.len());
    for &row in &rows {
        let mut of_prompt = Features::default();
        featurise(&featuriser, &log.prompts[row], &mut of_prompt)?;
        features.push(of_prompt);
    }
    let weights: Vec<f32> = rows.iter().map(|&row| log.prompts[row].weight).collect();
    let mut forecast = Forecast::new(router.clone(), &features, &weights)?;
    for outcome in &log.outcomes {
        if let (Some(row), Some(model)) = (row_of[outcome.prompt as usize], in_router[outcome.model as usize]) {
            forecast.observe(row, model, outcome);
        }
    }
    Ok(Some(forecast))
}

/// λ from a thousandth to ten thousand times the spread of mean costs, 0 first and infinity last.
fn lambdas(singles: &[Point]) -> Vec<f64> {
    let costs = || singles.iter().map(|single| single.cost);
    let spread = costs().fold(0.0, f64::max) - costs().fold(f64::INFINITY, f64::min);
    let mut lambdas = vec![0.0];
    if spread > 0.0 {
        let steps = -3 * LAMBDAS_PER_DECADE..=4 * LAMBDAS_PER_DECADE;
        lambdas.extend(steps.map(|step| spread * 10_f64.powf(f64::from(step) / f64::from(LAMBDAS_PER_DECADE))));
    }
    lambdas.push(f64::INFINITY);
    lambdas
}

impl Calibration {
    /// The outcome in plain sentences.
    pub fn sentences(&self) -> Vec<String> {
        let source = match self.source {
            Source::Validation { prompts } => format!("validation, {prompts} prompts"),
            Source::Curve { .. } => "the router's own curve over training prompts".to_owned(),
        };
        let mut sentences = Vec::new();
        if let Source::Curve { passed_over: passed_over @ 1.. } = self.source {
            sentences.push(format!(
                "The log has only {passed_over} prompts of split `validation`, fewer than {FEWEST_PROMPTS}: the curve is \
                 the better witness."
            ));
        }
        sentences.push(match self.lambda {
            Some(lambda) => format!("{} is met at λ = {lambda:.4e} USD per unit of quality.", self.target),
            None => format!("{} is met by quality alone (λ = ∞).", self.target),
        });
        sentences.push(format!("Expected there: {} ({source}).", Self::figures(&self.expected)));
        sentences.push(format!(
            "Always `{}`: {}{}.",
            self.best_single.model,
            quality(self.best_single.quality),
            cost(self.best_single.cost_usd)
        ));
        if let Some(test) = &self.test {
            let verdict = if test.met { "met" } else { "missed" };
            sentences.push(format!(
                "On test ({} prompts): {}; the target, there {}, is {verdict}.",
                test.prompts.unwrap_or(0),
                Self::figures(test),
                Significant(test.bound)
            ));
        }
        sentences
    }

    fn figures(reached: &Reached) -> String {
        let share = reached.share.map_or_else(String::new, |share| format!(", share of calls {:.1} %", 100.0 * share));
        format!("{}{}{share}", quality(reached.quality), cost(reached.cost_usd))
    }
}

fn quality(quality: f64) -> String {
    format!("quality {:.1} %", 100.0 * quality)
}

fn cost(cost: Option<f64>) -> String {
    cost.map_or_else(String::new, |usd| format!(", {usd:.3e} USD per call"))
}

/// Small costs keep their digits.
struct Significant(f64);

impl fmt::Display for Significant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > 0.0 && self.0 < 0.01 { write!(f, "{:.3e}", self.0) } else { write!(f, "{:.4}", self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_in_every_spelling() {
        for (text, target) in [
            ("quality>=0.97*best", Target::Quality(Amount::OfBest(0.97))),
            (" quality ≥ 97 % * best ", Target::Quality(Amount::OfBest(0.97))),
            ("quality>=best*0.97", Target::Quality(Amount::OfBest(0.97))),
            ("quality>=80%", Target::Quality(Amount::Absolute(0.8))),
            ("cost<=0.6*best", Target::Cost(Amount::OfBest(0.6))),
            ("cost ≤ 2e-3", Target::Cost(Amount::Absolute(0.002))),
            ("share<=0.3", Target::Share { at_most: 0.3, model: None }),
            ("share ( a (b) >= c ) <= 30%", Target::Share { at_most: 0.3, model: Some("a (b) >= c".into()) }),
        ] {
            let read = text.parse::<Target>().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(read, target, "{text}");
            assert_eq!(read.to_string().parse::<Target>().expect("its own text"), target);
        }
    }

    #[test]
    fn what_is_no_target_says_what_was_expected() {
        for (text, expected) in [
            ("", "`>=` or `<=`"),
            ("quality", "`>=` or `<=`"),
            ("quality>0.9", "`>=` after quality"),
            ("cost=1", "`<=` after cost or share"),
            ("qualty>=0.9", "quality, cost, share or share(MODEL)"),
            ("shares<=0.9", "quality, cost, share or share(MODEL)"),
            ("share(a<=0.9", "quality, cost, share or share(MODEL)"),
            ("quality>=", "a number, or a number * best"),
            ("quality>=NaN", "a number, or a number * best"),
            ("quality>=0.9*worst", "a number, or a number * best"),
            ("quality>=0*best", "a number, or a number * best"),
            ("cost<=inf", "USD per call, or a number * best"),
            ("share<=0.3*best", "a share from 0 to 1"),
        ] {
            match text.parse::<Target>() {
                Err(Error::BadTarget { expected: found, .. }) => assert_eq!(found, expected, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    /// The fixture with a curve of three points: all to the cheapest, half to each of two, all to the dearest.
    fn artifact() -> Artifact {
        let bytes = include_bytes!("../../tests/formats/fixtures/router-v2.safetensors");
        let mut artifact = Artifact::from_bytes(bytes, "fixture").expect("the fixture opens");
        for (model, (quality, cost)) in [(0.5, 0.001), (0.7, 0.002), (0.8, 0.01)].into_iter().enumerate() {
            artifact.document.statics[model].quality = quality;
            artifact.document.statics[model].cost_usd = Some(cost);
        }
        let point =
            |lambda, cost, quality, shares: [f64; 3]| CurvePoint { lambda, cost, quality, shares: shares.into() };
        artifact.document.curve = vec![
            point(Some(0.0), 0.001, 0.5, [1.0, 0.0, 0.0]),
            point(Some(0.1), 0.004, 0.78, [0.0, 0.6, 0.4]),
            point(None, 0.009, 0.82, [0.0, 0.1, 0.9]),
        ];
        artifact
    }

    fn lambda(target: &str) -> Result<Option<f64>, Error> {
        calibrate(&artifact(), None, &target.parse()?).map(|calibration| calibration.lambda)
    }

    #[test]
    fn on_a_curve_the_cheapest_point_that_is_good_enough_and_the_best_that_is_cheap_enough() {
        assert_eq!(lambda("quality>=0.97*best").expect("0.776"), Some(0.1));
        assert_eq!(lambda("quality>=best*1").expect("0.8"), None);
        assert_eq!(lambda("quality>=0.4").expect("all do"), Some(0.0));
        assert_eq!(lambda("cost<=0.4*best").expect("0.004, just so"), Some(0.1));
        assert_eq!(lambda("cost<=0.0011").expect("the cheapest"), Some(0.0));
        assert_eq!(lambda("share<=40%").expect("of the dearest"), Some(0.1));
        assert_eq!(lambda("share<=1").expect("all do"), None);
    }

    #[test]
    fn what_is_out_of_reach_names_the_nearest() {
        let error = lambda("quality>=1.1*best").expect_err("nothing is as good");
        assert!(error.to_string().ends_with("the closest is quality 0.8200 (1.0250*best)"), "{error}");
        let error = lambda("cost<=0.05*best").expect_err("nothing is as cheap");
        assert!(error.to_string().contains("1.000e-3 USD per call (0.1000*best)"), "{error}");
        assert!(matches!(lambda("share(gpt)<=0.5"), Err(Error::UnknownModel { .. })));
    }

    #[test]
    fn quality_alone_is_written_as_a_lambda_that_outweighs_any_cost() {
        let artifact = artifact();
        let calibration = calibrate(&artifact, None, &"quality>=best*1".parse().expect("a target")).expect("reached");
        let (bytes, _) = with_default(artifact, &calibration).expect("valid");
        let written = Artifact::from_bytes(&bytes, "calibrated").expect("valid");
        assert_eq!(written.document.decision.default_lambda, Some(1e7));
    }

    #[test]
    fn a_router_without_costs_has_no_targets_of_cost() {
        let mut artifact = artifact();
        artifact.document.statics.iter_mut().for_each(|means| means.cost_usd = None);
        let target = |text: &str| calibrate(&artifact, None, &text.parse().expect("a target"));
        assert!(matches!(target("cost<=1"), Err(Error::NoCosts { .. })));
        assert!(matches!(target("share<=0.5"), Err(Error::NoCosts { .. })));
        assert!(target("quality>=0.5").is_ok_and(|calibration| calibration.expected.cost_usd.is_none()));
    }
}
