//! Metrics against recorded runs of the public implementations that made them known.
//!
//! `README.md` beside this file says what was run, how, and where we differ on purpose. Each test prints its largest
//! difference (`-- --nocapture`), which is where the table there comes from.

use std::path::Path;

use pointsman_metrics::Point;
use pointsman_metrics::compat::{carrot, llmrouterbench, routellm, routerarena, routerbench};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Sums in another order: both sides add at most a few hundred numbers of about 1.
const ROUNDING: f64 = 1e-12;

/// What a recorded run holds besides its cases is for people.
#[derive(Deserialize)]
struct Fixture<C> {
    implementation: String,
    cases: Vec<C>,
}

fn fixture<C: DeserializeOwned>(name: &str) -> Fixture<C> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/fixtures").join(name);
    let text = std::fs::read_to_string(&path).expect("a fixture beside the test");
    let fixture: Fixture<C> = serde_json::from_str(&text).expect("the shape that record.py writes");
    assert!(fixture.cases.len() >= 12, "{name}: too few cases to mean anything");
    fixture
}

/// The largest difference seen.
#[derive(Default)]
struct Agreement {
    largest: f64,
    compared: usize,
}

impl Agreement {
    #[track_caller]
    fn near(&mut self, ours: f64, theirs: f64, tolerance: f64) {
        let scale = theirs.abs().max(1.0);
        let difference = (ours - theirs).abs() / scale;
        assert!(difference <= tolerance, "ours {ours}, theirs {theirs}: {difference:e} apart");
        self.largest = self.largest.max(difference);
        self.compared += 1;
    }

    #[track_caller]
    fn all(&mut self, ours: &[f64], theirs: &[f64], tolerance: f64) {
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(theirs) {
            self.near(*ours, *theirs, tolerance);
        }
    }

    #[expect(clippy::print_stderr, reason = "the table of agreement is made from it")]
    fn report(&self, implementation: &str, n_cases: usize) {
        eprintln!(
            "{implementation}: {n_cases} cases, {} numbers, largest difference {:.1e}",
            self.compared, self.largest
        );
    }
}

#[derive(Deserialize)]
struct RouterBenchCase {
    routers: Vec<Vec<(f64, f64)>>,
    hulls: Option<Vec<Vec<(f64, f64)>>>,
    aiq: Option<Vec<f64>>,
}

#[test]
fn routerbench_hull_and_aiq() {
    let fixture = fixture::<RouterBenchCase>("routerbench.json");
    let mut agreement = Agreement::default();
    for case in &fixture.cases {
        let routers: Vec<Vec<Point>> =
            case.routers.iter().map(|r| r.iter().map(|&(c, q)| Point::new(c, q)).collect()).collect();
        let (Some(hulls), Some(aiq)) = (&case.hulls, &case.aiq) else {
            // DIFFERENCE: where the original dies of an IndexError, ours is an error or undefined.
            assert!(routers.iter().any(|r| routerbench::hull(r).is_err()));
            continue;
        };
        for (points, theirs) in routers.iter().zip(hulls) {
            let ours = routerbench::hull(points).expect("they had a hull");
            assert_eq!(ours.len(), theirs.len(), "{points:?}");
            for (ours, theirs) in ours.iter().zip(theirs) {
                agreement.near(ours.cost, theirs.0, ROUNDING);
                agreement.near(ours.quality, theirs.1, ROUNDING);
            }
        }
        for (ours, theirs) in routerbench::aiq_compat(&routers).iter().zip(aiq) {
            agreement.near(ours.expect("they had a value"), *theirs, ROUNDING);
        }
    }
    agreement.report(&fixture.implementation, fixture.cases.len());
}

#[derive(Deserialize)]
struct RouteLlmCase {
    scores: Vec<f64>,
    strong: Vec<f64>,
    weak: Vec<f64>,
    optimal: Vec<f64>,
    apgr: Option<f64>,
    cpt: Option<[f64; 3]>,
}

#[test]
fn routellm_apgr_cpt_and_upper_bound() {
    /// The original prints CPT as a percentage with two decimals.
    const PRINTED: f64 = 5.1e-5;
    let fixture = fixture::<RouteLlmCase>("routellm.json");
    let mut agreement = Agreement::default();
    let mut printed = Agreement::default();
    for case in &fixture.cases {
        for (tenth, theirs) in (0_u8..=10).zip(&case.optimal) {
            let share = f64::from(tenth) / 10.0;
            let ours = routellm::optimal_quality(&case.strong, &case.weak, share).expect("valid");
            agreement.near(ours, *theirs, ROUNDING);
        }
        let curve = routellm::QuantileCurve::new(&case.scores, &case.strong, &case.weak).expect("valid");
        let (Some(apgr), Some(cpt)) = (case.apgr, case.cpt) else {
            // DIFFERENCE: equal quantiles stop the original with a ValueError; ours merges them.
            // Counts of right answers, so whole numbers.
            let differ = (case.strong.iter().sum::<f64>() - case.weak.iter().sum::<f64>()).abs() > 0.5;
            assert_eq!(curve.apgr().is_some(), differ);
            continue;
        };
        agreement.near(curve.apgr().expect("they had one"), apgr, ROUNDING);
        for (recovered, theirs) in [0.2, 0.5, 0.8].into_iter().zip(cpt) {
            printed.near(curve.cpt(recovered).expect("they had one"), theirs, PRINTED);
        }
    }
    agreement.report(&fixture.implementation, fixture.cases.len());
    printed.report("RouteLLM's CPT as printed", fixture.cases.len());
}

#[derive(Deserialize)]
struct RouterArenaCase {
    #[serde(default)]
    accuracy: Vec<f64>,
    #[serde(default)]
    cost: Vec<f64>,
    mean_accuracy: f64,
    cost_per_1000: f64,
    score: f64,
}

#[test]
fn routerarena_score() {
    let fixture = fixture::<RouterArenaCase>("routerarena.json");
    let mut agreement = Agreement::default();
    for case in &fixture.cases {
        if !case.accuracy.is_empty() {
            let (accuracy, cost) = routerarena::accuracy_and_cost(&case.accuracy, &case.cost).expect("queries");
            agreement.near(accuracy, case.mean_accuracy, ROUNDING);
            agreement.near(cost, case.cost_per_1000, ROUNDING);
        }
        let ours = routerarena::score_compat(case.mean_accuracy, case.cost_per_1000).expect("finite");
        agreement.near(ours, case.score, ROUNDING);
        // DIFFERENCE: the strict form keeps the cost term in [0, 1].
        let strict = routerarena::score(case.mean_accuracy, case.cost_per_1000).expect("valid");
        if (0.0044..=200.0).contains(&case.cost_per_1000) {
            agreement.near(strict, case.score, ROUNDING);
        } else {
            assert!((0.0..=1.0).contains(&strict));
        }
    }
    agreement.report(&fixture.implementation, fixture.cases.len());
}

#[derive(Deserialize)]
struct CarrotCase {
    n_models: usize,
    predicted_quality: Vec<f64>,
    predicted_cost: Vec<f64>,
    cost: Vec<f64>,
    quality: Vec<f64>,
    settings: Vec<usize>,
    mean_cost: Vec<f64>,
    mean_quality: Vec<f64>,
}

#[test]
fn carrot_sweep() {
    let fixture = fixture::<CarrotCase>("carrot.json");
    let mut agreement = Agreement::default();
    for case in &fixture.cases {
        let curve =
            carrot::sweep(&case.predicted_quality, &case.predicted_cost, &case.cost, &case.quality, case.n_models)
                .expect("valid");
        for (i, &setting) in case.settings.iter().enumerate() {
            agreement.near(curve[setting].cost, case.mean_cost[i], ROUNDING);
            agreement.near(curve[setting].quality, case.mean_quality[i], ROUNDING);
        }
    }
    agreement.report(&fixture.implementation, fixture.cases.len());
}

#[derive(Deserialize)]
struct LlmRouterBenchCase {
    n_models: usize,
    dataset: Vec<u32>,
    quality: Vec<f64>,
    cost: Vec<f64>,
    model_quality: Vec<f64>,
    model_cost: Vec<f64>,
    random: f64,
    random_cost: f64,
    drawn_random: f64,
    max_expert: f64,
    max_expert_cost: f64,
    max_expert_cost_printed: f64,
    oracle: f64,
    oracle_cost: f64,
}

#[test]
fn llmrouterbench_summary_table() {
    let fixture = fixture::<LlmRouterBenchCase>("llmrouterbench.json");
    let mut agreement = Agreement::default();
    let mut draws = 0.0;
    for case in &fixture.cases {
        let outcomes = llmrouterbench::Outcomes {
            quality: &case.quality,
            cost: &case.cost,
            dataset: &case.dataset,
            n_models: case.n_models,
        };
        let ours = llmrouterbench::summary(&outcomes).expect("valid");
        agreement.all(&ours.quality, &case.model_quality, ROUNDING);
        agreement.all(&ours.cost, &case.model_cost, ROUNDING);
        let pairs = [
            // Their row `AVG`, which is what their row `Random Router` is one draw of.
            (ours.random, case.random),
            (ours.random_cost, case.random_cost),
            (ours.max_expert, case.max_expert),
            (ours.max_expert_cost, case.max_expert_cost),
            (ours.max_expert_cost_printed, case.max_expert_cost_printed),
            (ours.oracle, case.oracle),
            (ours.oracle_cost, case.oracle_cost),
        ];
        for (ours, theirs) in pairs {
            agreement.near(ours, theirs, ROUNDING);
        }
        draws += (case.drawn_random - ours.random) / fixture.cases.len() as f64;
    }
    // DIFFERENCE: their random router draws once; over the cases the draws average to the expected value.
    assert!(draws.abs() < 0.1, "mean of draws is {draws} away");
    agreement.report(&fixture.implementation, fixture.cases.len());
}
