//! Our router against somebody else's on the same resamples.
//!
//! The report of `pointsman_bench` pairs routers with baselines; here two routers are paired, at the very settings that
//! the report kept for each. Both are rebuilt from what is public, and their AIQ must come out as in the report.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, ensure};
use pointsman::{Bound, Limits, Objective, Policy, Router, Scratch};
use pointsman_bench::{BenchReport, RouterReport};
use pointsman_evals::matrix::{Dropped, Matrix, matrix};
use pointsman_evals::{EvalLog, Split};
use pointsman_metrics::{Behaviour, DeferralCurve, DeferralOrder, Interval, Point, Resampler, hull_vertices};

/// How far a rebuilt AIQ may be from the report's: sums are taken in another order.
const TOLERANCE: f64 = 1e-9;

/// Values of λ over which a rival is swept on train: as the benchmark sweeps it, eight per decade, four decades either
/// side of the spread of costs.
const PER_DECADE: i32 = 8;
const DECADES: i32 = 4;

/// The outcomes that routers meet on.
pub(crate) struct Ground<'a> {
    log: &'a EvalLog,
    report: &'a BenchReport,
    test: Matrix,
    train: Matrix,
    /// Mean training cost per model: what a router without a cost model believes.
    costs: Vec<f64>,
    cheapest: usize,
    dearest: usize,
    pair: Option<(usize, usize)>,
    resampler: Resampler,
}

/// A router at the settings of its curve.
pub(crate) struct Contender {
    name: String,
    behaviour: Behaviour,
    /// Quality at λ → ∞, `[n]`.
    order: Option<DeferralOrder>,
    /// AIQ and APGR of out-of-fold predictions on train, where the file has them: what to choose between rivals by.
    pub(crate) on_train: Option<(Option<f64>, Option<f64>)>,
}

/// Differences on the same resamples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Differences {
    pub(crate) aiq: Option<Interval>,
    pub(crate) apgr: Option<Interval>,
}

impl<'a> Ground<'a> {
    pub(crate) fn new(log: &'a EvalLog, report: &'a BenchReport) -> anyhow::Result<Self> {
        let place = |name: &String| report.models.iter().position(|model| model == name).context("a model of the pool");
        let ids: Vec<u32> =
            (0_u32..).zip(&log.models).filter(|(_, name)| report.models.contains(name)).map(|(id, _)| id).collect();
        let test = matrix(log, Split::Test, &ids, &mut Dropped::default());
        let train = matrix(log, Split::Train, &ids, &mut Dropped::default());
        let k = ids.len();
        let n_train = train.prompts.len() as f64;
        let costs = (0..k).map(|m| train.cost.iter().skip(m).step_by(k).sum::<f64>() / n_train).collect();
        let mut numbers = BTreeMap::new();
        let units = test.prompts.iter().map(|&prompt| {
            let prompt = &log.prompts[prompt as usize];
            let next = u32::try_from(numbers.len()).expect("prompts are numbered by u32");
            *numbers.entry(prompt.group.as_ref().unwrap_or(&prompt.id)).or_insert(next)
        });
        Ok(Self {
            resampler: Resampler::grouped(units.collect(), report.seed)?,
            cheapest: place(&report.cheapest)?,
            dearest: place(&report.dearest)?,
            pair: report
                .pair
                .as_ref()
                .map(|pair| Ok::<_, anyhow::Error>((place(&pair.strong)?, place(&pair.weak)?)))
                .transpose()?,
            log,
            report,
            test,
            train,
            costs,
        })
    }

    fn k(&self) -> usize {
        self.report.models.len()
    }

    /// Our router, as the report has it under `name`.
    pub(crate) fn ours(&self, name: &str, router: &Router) -> anyhow::Result<Contender> {
        let place: Vec<Option<usize>> =
            router.models().iter().map(|name| self.report.models.iter().position(|model| model == name)).collect();
        ensure!(place.iter().flatten().count() == self.k(), "the router was trained on another pool");
        let settings = kept(self.of_report(name)?);
        let allow: Vec<String> =
            router.models().iter().filter(|name| self.report.models.contains(name)).cloned().collect();
        let bind = |lambda: f64| {
            let objective = if lambda.is_infinite() { Objective::Quality } else { Objective::Lambda(lambda) };
            router.bind(&router.default_catalog(), &Policy { objective, allow: allow.clone(), ..Policy::default() })
        };
        let bounds = settings.iter().map(|&lambda| bind(lambda)).collect::<Result<Vec<Bound>, _>>()?;
        let n = self.test.prompts.len();
        let mut choices = vec![0; settings.len() * n];
        let mut quality = vec![0.0; n * self.k()];
        let mut scratch = Scratch::default();
        for (row, &prompt) in self.test.prompts.iter().enumerate() {
            self.log.prompts[prompt as usize].with_request(|request| {
                router.featurise(request, &mut scratch.features);
                router.predict(&scratch.features, &mut scratch.predictions);
            })?;
            for (setting, bound) in bounds.iter().enumerate() {
                let decision = bound.decide(&scratch.predictions, &Limits::default(), &mut scratch.ranking);
                let chosen = place[decision.model_idx].expect("only the pool is allowed");
                choices[setting * n + row] = u32::try_from(chosen).expect("pools are small");
            }
            for (place, predicted) in place.iter().zip(&scratch.predictions.quality) {
                if let Some(place) = place {
                    quality[row * self.k() + place] = f64::from(*predicted);
                }
            }
        }
        self.contender(name, &choices, &quality, None)
    }

    /// A rival from its file of predicted qualities, as the report has it under the file's stem.
    pub(crate) fn rival(&self, path: &Path) -> anyhow::Result<Contender> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let predictions = self.read(path).with_context(|| path.display().to_string())?;
        let quality = self.rows(&self.test, &predictions).context("a prediction for every evaluated prompt")?;
        let settings = kept(self.of_report(&name)?);
        let choices = self.sweep(&quality, &settings);
        let train = self.rows(&self.train, &predictions);
        let on_train = train.map(|quality| self.on_train(&quality)).transpose()?;
        self.contender(&name, &choices, &quality, on_train)
    }

    /// `a` less `b`, with 95 % intervals over `resamples` resamples.
    pub(crate) fn compare(&self, a: &Contender, b: &Contender, resamples: usize) -> Differences {
        let difference = |figure: &dyn Fn(&Contender, &[f64]) -> Option<f64>, counts: &[f64]| {
            Some(figure(a, counts)? - figure(b, counts)?)
        };
        let aiq = |c: &Contender, counts: &[f64]| self.aiq(c, counts);
        let apgr = |c: &Contender, counts: &[f64]| self.apgr(c, counts);
        let ones = vec![1.0; self.test.prompts.len()];
        let replicates: Vec<[Option<f64>; 2]> = (0..resamples as u64)
            .map(|index| {
                let counts = self.resampler.counts(index);
                [difference(&aiq, &counts), difference(&apgr, &counts)]
            })
            .collect();
        let interval = |value: Option<f64>, which: usize| {
            Interval::percentile(value?, replicates.iter().map(|figures| figures[which]), 0.95)
        };
        Differences { aiq: interval(difference(&aiq, &ones), 0), apgr: interval(difference(&apgr, &ones), 1) }
    }

    fn contender(
        &self,
        name: &str,
        choices: &[u32],
        quality: &[f64],
        on_train: Option<(Option<f64>, Option<f64>)>,
    ) -> anyhow::Result<Contender> {
        let behaviour = Behaviour::from_choices(choices, &self.test.cost, &self.test.quality, self.k())?;
        let order = self.pair.map(|pair| order(quality, self.k(), pair)).transpose()?;
        let contender = Contender { name: name.to_owned(), behaviour, order, on_train };
        let reported = self.of_report(name)?.aiq.map(|aiq| aiq.value);
        let ones = vec![1.0; self.test.prompts.len()];
        let rebuilt = self.aiq(&contender, &ones);
        let agree = match (reported, rebuilt) {
            (Some(reported), Some(rebuilt)) => (reported - rebuilt).abs() < TOLERANCE,
            (reported, rebuilt) => reported == rebuilt,
        };
        ensure!(agree, "{}: AIQ {rebuilt:?} does not agree with the report's {reported:?}", contender.name);
        Ok(contender)
    }

    fn of_report(&self, name: &str) -> anyhow::Result<&RouterReport> {
        self.report.routers.iter().find(|router| router.name == name).with_context(|| format!("{name} in the report"))
    }

    fn aiq(&self, contender: &Contender, counts: &[f64]) -> Option<f64> {
        let total: f64 = counts.iter().sum();
        let mean = |values: &[f64], model: usize| {
            values.iter().skip(model).step_by(self.k()).zip(counts).map(|(value, n)| value * n).sum::<f64>() / total
        };
        let start = Point::new(mean(&self.test.cost, self.cheapest), mean(&self.test.quality, self.cheapest));
        let curve = DeferralCurve::new(start, &contender.behaviour.weighted_means(counts)).ok()?;
        curve.aiq(start.cost, mean(&self.test.cost, self.dearest))
    }

    fn apgr(&self, contender: &Contender, counts: &[f64]) -> Option<f64> {
        let (strong, weak) = self.pair?;
        let column =
            |model: usize| -> Vec<f64> { self.test.quality.iter().skip(model).step_by(self.k()).copied().collect() };
        contender.order.as_ref()?.curve(&column(strong), &column(weak), Some(counts)).ok()?.apgr()
    }

    /// Choices by beliefs about quality and mean training costs, `[settings, n]`; ties go to the cheapest, then to the
    /// first.
    fn sweep(&self, quality: &[f64], lambdas: &[f64]) -> Vec<u32> {
        let choose = |lambda: f64, quality: &[f64]| {
            let utility = |m: usize| {
                if lambda.is_infinite() { quality[m] } else { lambda * quality[m] - self.costs[m] }
            };
            let better = |a: &usize, b: &usize| {
                utility(*b).total_cmp(&utility(*a)).then(self.costs[*a].total_cmp(&self.costs[*b]))
            };
            let best = (0..self.k()).min_by(better).expect("the pool is not empty");
            u32::try_from(best).expect("pools are small")
        };
        lambdas.iter().flat_map(|&lambda| quality.chunks_exact(self.k()).map(move |row| choose(lambda, row))).collect()
    }

    /// AIQ and APGR of out-of-fold predictions on the training prompts; the hull is taken there too, which flatters all
    /// rivals alike.
    fn on_train(&self, quality: &[f64]) -> anyhow::Result<(Option<f64>, Option<f64>)> {
        let k = self.k();
        let spread = self.costs[self.dearest] - self.costs[self.cheapest];
        let steps = -DECADES * PER_DECADE..=DECADES * PER_DECADE;
        let grid = steps.map(|step| spread * 10_f64.powf(f64::from(step) / f64::from(PER_DECADE)));
        let lambdas: Vec<f64> = [0.0].into_iter().chain(grid).chain([f64::INFINITY]).collect();
        let choices = self.sweep(quality, &lambdas);
        let points = Behaviour::from_choices(&choices, &self.train.cost, &self.train.quality, k)?.means();
        let vertices: Vec<Point> = hull_vertices(&points).into_iter().map(|vertex| points[vertex]).collect();
        let column = |model: usize| -> Vec<f64> { self.train.quality.iter().skip(model).step_by(k).copied().collect() };
        let cheapest = column(self.cheapest);
        let start = Point::new(self.costs[self.cheapest], cheapest.iter().sum::<f64>() / cheapest.len() as f64);
        let aiq = DeferralCurve::new(start, &vertices)?.aiq(start.cost, self.costs[self.dearest]);
        let apgr = match self.pair {
            Some(pair) => order(quality, k, pair)?.curve(&column(pair.0), &column(pair.1), None)?.apgr(),
            None => None,
        };
        Ok((aiq, apgr))
    }

    /// Predicted qualities by prompt id, over the pool.
    fn read(&self, path: &Path) -> anyhow::Result<HashMap<String, Vec<f64>>> {
        let mut reader = csv::Reader::from_path(path)?;
        let headers = reader.headers()?.clone();
        let column =
            |name: &str| headers.iter().position(|header| header == name).with_context(|| format!("a column `{name}`"));
        let id = column("prompt_id")?;
        let columns = self.report.models.iter().map(|model| column(model)).collect::<Result<Vec<_>, _>>()?;
        let mut predictions = HashMap::new();
        for record in reader.records() {
            let record = record?;
            let quality = columns.iter().map(|&column| record[column].trim().parse()).collect::<Result<_, _>>()?;
            predictions.insert(record[id].to_owned(), quality);
        }
        Ok(predictions)
    }

    /// Predictions in the order of a matrix; `None` if a prompt has none.
    fn rows(&self, matrix: &Matrix, predictions: &HashMap<String, Vec<f64>>) -> Option<Vec<f64>> {
        let row = |prompt: &u32| predictions.get(&self.log.prompts[*prompt as usize].id);
        let rows: Option<Vec<&Vec<f64>>> = matrix.prompts.iter().map(row).collect();
        Some(rows?.into_iter().flatten().copied().collect())
    }
}

/// The λ that the report kept, by ascending training cost.
fn kept(router: &RouterReport) -> Vec<f64> {
    router.curve.iter().map(|point| point.lambda.unwrap_or(f64::INFINITY)).collect()
}

fn order(quality: &[f64], k: usize, (strong, weak): (usize, usize)) -> anyhow::Result<DeferralOrder> {
    let scores: Vec<f64> = quality.chunks_exact(k).map(|row| row[strong] - row[weak]).collect();
    Ok(DeferralOrder::new(&scores)?)
}
