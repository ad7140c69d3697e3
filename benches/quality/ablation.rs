//! What every part of the predictor brings: the same cross-validation without it.

use anyhow::Context;
use pointsman_evals::EvalLog;
use pointsman_training::{Profile, Recipe, RecipeSettings};

use crate::experiment::Bench;
use crate::mean::Mean;
use crate::relabel;
use crate::section::{Section, plain, share, signed};
use crate::trial::{self, Figures, Measure};
use crate::validation::overlap;

/// One way to train.
struct Variant {
    name: &'static str,
    change: fn(&mut RecipeSettings),
    /// Whether the log shows its tasks.
    is_labelled: bool,
}

const WHOLE: &str = "all of it";

const VARIANTS: [Variant; 9] = [
    Variant { name: WHOLE, change: |_| (), is_labelled: true },
    Variant { name: "without the forest", change: |s| s.trees = 0, is_labelled: true },
    Variant { name: "half the trees", change: |s| s.trees /= 2, is_labelled: true },
    Variant { name: "profile fast", change: |s| s.profile = Profile::Fast, is_labelled: true },
    Variant { name: "depth 5", change: |s| s.depth = 5, is_labelled: true },
    Variant { name: "no surface beside words", change: |s| s.surface_weight = 0.0, is_labelled: true },
    Variant { name: "vocabulary of 2^14", change: |s| s.vocabulary_bits = 14, is_labelled: true },
    Variant { name: "no task labels", change: |s| s.clusters = 0, is_labelled: false },
    Variant { name: "no task labels, 32 clusters", change: |s| s.clusters = 32, is_labelled: false },
];

/// Every variant on the same folds, against the whole.
pub(crate) fn ablation(bench: &Bench) -> anyhow::Result<Section> {
    let mut section = Section::new(
        "ablation",
        "what every part of the predictor brings",
        format!(
            "{} × {} folds inside train, the same for every variant. Against the whole: AIQ less that of all parts, on the \
             same prompts. ± is half a 95 % interval over runs, corrected for the training prompts that they share.",
            bench.repeats, bench.folds
        ),
        [
            "case",
            "variant",
            "AIQ",
            "over zero router",
            "against the whole",
            "gap closed",
            "Brier",
            "AUC",
            "APGR",
            "static",
        ],
    );
    for case in &bench.cases {
        let mut whole: Vec<Figures> = Vec::new();
        for variant in VARIANTS.iter().filter(|variant| variant.is_labelled || case.log.tasks.len() > 1) {
            let recipe = variant.recipe(&bench.recipe)?;
            let mut runs = Vec::new();
            for repeat in 0..bench.repeats {
                for (fold, log) in relabel::folds(&case.log, bench.folds, repeat).iter().enumerate() {
                    let fitted = trial::train(&variant.shown(log), &recipe)?;
                    let report = Measure::of(case).run(log, &[("router", &fitted.router)])?;
                    let figures = Figures::of(&report, "router", &fitted);
                    section.push(&case.name, repeat, fold, variant.name, &figures);
                    runs.push(figures);
                }
            }
            if variant.name == WHOLE {
                whole.clone_from(&runs);
            }
            let mean = |figure: fn(&Figures) -> Option<f64>| Mean::of(runs.iter().map(figure), overlap(&runs));
            let lead = runs.iter().zip(&whole).map(|(part, whole)| Some(part.aiq? - whole.aiq?));
            section.rows.push(vec![
                case.name.clone(),
                variant.name.to_owned(),
                plain(mean(|f| f.aiq), 4),
                signed(mean(Figures::gain), 4),
                signed(Mean::of(lead, overlap(&runs)), 4),
                signed(mean(|f| f.gap_closed), 3),
                plain(mean(|f| f.brier), 4),
                plain(mean(|f| f.auc), 3),
                plain(mean(|f| f.apgr), 3),
                share(runs.iter().map(|f| f.is_static)),
            ]);
        }
    }
    Ok(section)
}

impl Variant {
    fn recipe(&self, base: &Recipe) -> anyhow::Result<Recipe> {
        let mut settings = base.settings().clone();
        (self.change)(&mut settings);
        let recipe = settings.validate().with_context(|| self.name.to_owned())?;
        Ok(recipe.with_base(base.base().cloned()))
    }

    /// The log as training sees it.
    fn shown(&self, log: &EvalLog) -> EvalLog {
        if self.is_labelled { log.clone() } else { relabel::unlabelled(log) }
    }
}
