//! Where models can be reached: the configured targets, and how each of them fares.
//!
//! What is configured is immutable; what is live (health, requests on their way) changes behind it. Nothing here calls
//! anybody: `upstream` does, and reports what became of it.

pub(crate) mod health;
mod lots;
pub(crate) mod quantiles;
pub(crate) mod settings;
mod target;
pub(crate) mod terms;
pub(crate) mod wish;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Instant;

use pointsman::Capabilities;

use crate::error::Error;
use crate::upstream::client::Trust;
use crate::wire::models::Model;
use crate::wire::protocol::Protocol;
use health::{Fares, Standing};
use lots::Lot;
use settings::{HealthSettings, TargetPrice, TargetSettings};
pub(crate) use target::{Ended, Target};
use wish::{Sort, Wish, barred};

/// All targets, validated against a router's models.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    all: Vec<Target>,
    /// Positions in `all`, by model.
    by_model: Vec<Vec<usize>>,
    /// Models that are not the router's, with the positions that follow on its own: they serve embeddings alone.
    others: Vec<String>,
    pub(crate) health: HealthSettings,
}

impl Targets {
    /// Checks what is configured; a target without a price has the catalogue's for its model, and one that is as it was in
    /// `before` goes on as it was doing.
    pub(crate) fn new(
        settings: &[TargetSettings],
        health: &HealthSettings,
        models: &[String],
        regions: &BTreeMap<String, [f64; 2]>,
        before: Option<&Self>,
        catalogue: impl Fn(usize) -> Option<TargetPrice>,
    ) -> Result<Self, Error> {
        if !health.path.starts_with('/') || health.path.parse::<axum::http::Uri>().is_err() {
            let got = health.path.clone();
            return Err(Error::BadSetting { field: "health.path", expected: "a path that begins with a slash", got });
        }
        if health.timeout.is_zero() {
            return Err(Error::BadSetting { field: "health.timeout_ms", expected: "a time above 0", got: "0".into() });
        }
        let mut targets = Self {
            all: Vec::new(),
            by_model: vec![Vec::new(); models.len()],
            others: Vec::new(),
            health: health.clone(),
        };
        let needs_the_systems =
            |setting: &TargetSettings| setting.ca_pem.is_none() && setting.base_url.starts_with("https:");
        let trust = Trust::new(settings.iter().any(needs_the_systems))?;
        for setting in settings {
            if targets.all.iter().any(|known| known.name == setting.name) {
                return Err(Error::target(&setting.name, "name", "one that no other target has", &setting.name));
            }
            let model_idx = targets.model_idx(setting, models)?;
            let namesake = before.and_then(|before| before.all.iter().find(|target| target.name == setting.name));
            let mut target = Target::new(setting, targets.all.len(), model_idx, &trust, regions, namesake)?;
            target.price = target.price.or_else(|| catalogue(model_idx));
            targets.by_model[model_idx].push(target.position);
            targets.all.push(target);
        }
        Ok(targets)
    }

    /// Notes of which models the router predicts in USD what they cost.
    pub(crate) fn predicted(mut self, is_predicted: impl Fn(usize) -> bool) -> Self {
        for target in &mut self.all {
            target.is_predicted = is_predicted(target.model_idx);
        }
        self
    }

    /// Names of those whose calls cost nobody knows what.
    pub(crate) fn uncounted(&self) -> Vec<&str> {
        let is_counted = |target: &Target| target.is_predicted && !target.serves(Protocol::Embeddings);
        let uncounted = self.all.iter().filter(|target| target.price.is_none() && !is_counted(target));
        uncounted.map(|target| target.name.as_str()).collect()
    }

    /// The position of a target's model: the router's, or where it serves embeddings alone, one of its own.
    fn model_idx(&mut self, setting: &TargetSettings, models: &[String]) -> Result<usize, Error> {
        let TargetSettings { name, model, endpoints, .. } = setting;
        if let Some(model_idx) = models.iter().chain(&self.others).position(|known| known == model) {
            return Ok(model_idx);
        }
        if endpoints.iter().any(|endpoint| endpoint != "embeddings") || model.is_empty() {
            return Err(Error::target(name, "model", "a model of the router (`pointsman show` lists them)", model));
        }
        self.others.push(model.clone());
        self.by_model.push(Vec::new());
        Ok(models.len() + self.others.len() - 1)
    }

    /// Whether there is any.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether any answers prompts.
    pub(crate) fn answer_prompts(&self) -> bool {
        self.all.iter().any(Target::answers_prompts)
    }

    /// All of them, in the order of the configuration.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Target> {
        self.all.iter()
    }

    /// The target at a position.
    pub(crate) fn get(&self, position: usize) -> &Target {
        &self.all[position]
    }

    /// Models that are not the router's.
    pub(crate) fn others(&self) -> &[String] {
        &self.others
    }

    /// The target of this name, if chats can go there.
    pub(crate) fn default(&self, name: &str) -> Option<&Target> {
        self.all.iter().find(|target| target.name == name && target.serves(Protocol::Chat))
    }

    /// Models in the order of their first target among those that answer such a request.
    pub(crate) fn models(&self, wish: &Wish) -> Vec<usize> {
        let mut models = Vec::new();
        for target in self.all.iter().filter(|target| target.serves(wish.purpose.protocol())) {
            if !models.contains(&target.model_idx) {
                models.push(target.model_idx);
            }
        }
        models
    }

    fn of(&self, model_idx: usize) -> impl Iterator<Item = &Target> {
        self.by_model.get(model_idx).into_iter().flatten().map(|position| &self.all[*position])
    }

    /// The targets of a ranked list of models, each with the tokens expected of the request, in the order in which to try
    /// them: by rank, unless the request sorts across the models; within a model those the request names first, then those
    /// as quick as it prefers, the one that answered its session before, those it wishes first, those that are well, the
    /// nearer ones where that matters, and of those the sooner done of two drawn by lot, by the latency of late and the calls
    /// on their way (peak EWMA). What is known to be down comes last of all, for trying it beats refusing. Whom the request may
    /// not reach is not among them. `chance` gives numbers in `[0, 1)`.
    pub(crate) fn in_order(
        &self,
        ranked: &[(usize, f32)],
        wish: &Wish,
        now: Instant,
        mut chance: impl FnMut() -> f64,
    ) -> Vec<&Target> {
        let mut order: Vec<(Place, &Target)> = Vec::new();
        for (rank, (model_idx, tokens)) in ranked.iter().enumerate() {
            let may = |target: &&Target| target.barred(wish, *tokens).is_none();
            let first = order.len();
            order.extend(self.of(*model_idx).filter(may).map(|target| (Place::of(target, rank, wish, now), target)));
            let places = &mut order[first..];
            if places.len() > 1 {
                spare(places, &mut chance);
            }
        }
        order.sort_by(|(a, _), (b, _)| a.compare(b).then(a.lot.load.total_cmp(&b.lot.load)));
        draw(&mut order, &mut chance);
        order.into_iter().map(|(_, target)| target).collect()
    }

    /// Adds to a model of the list what its targets are like.
    pub(crate) fn describe<'t>(&'t self, model: &mut Model<'t>) {
        let of: Vec<&Target> = self.all.iter().filter(|target| *target.model == *model.id).collect();
        let is_unlimited = of.iter().any(|target| target.context_length.is_none());
        model.context_length = of.iter().filter_map(|target| target.context_length).max().filter(|_| !is_unlimited);
        let able =
            of.iter().map(|target| target.capabilities).collect::<Option<Vec<_>>>().filter(|able| !able.is_empty());
        model.capabilities = able.map(|able| {
            let of_any = |is: fn(&Capabilities) -> bool| able.iter().any(is);
            let all = [
                ("tools", of_any(|able| able.tools)),
                ("vision", of_any(|able| able.vision)),
                ("json", of_any(|able| able.json)),
            ];
            all.into_iter().filter_map(|(name, is_able)| is_able.then_some(name)).collect()
        });
        model.regions = of.iter().filter_map(|target| target.region.as_deref()).collect();
        model.regions.sort_unstable();
        model.regions.dedup();
        let serves = |protocol: &Protocol| of.iter().any(|target| target.serves(*protocol));
        model.endpoints = Protocol::ALL.into_iter().filter(serves).map(Protocol::name).collect();
    }

    /// Whether a request may reach a target of a model; where it reaches none, what keeps it from each, or `targets`.
    pub(crate) fn reaches(&self, model_idx: usize, tokens: f32, wish: &Wish) -> Result<(), Vec<&'static str>> {
        let mut by = Vec::new();
        for target in self.of(model_idx) {
            match target.barred(wish, tokens) {
                None => return Ok(()),
                Some(reason) => by.push(reason),
            }
        }
        if by.is_empty() {
            by.push(barred::TARGETS);
        }
        Err(by)
    }

    /// Name of the first target of a model that a request may reach: of those that it names first, else of the cheapest where it
    /// sorts by price, else of all, as they are configured; how they fare is another matter.
    pub(crate) fn first(&self, model_idx: usize, tokens: f32, wish: &Wish) -> Option<&str> {
        let named = |target: &Target| wish.order.iter().position(|name| target.goes_by(name)).unwrap_or(usize::MAX);
        let price = |target: &Target| if wish.sort == Some(Sort::Price) { target.price_sum() } else { 0.0 };
        let reached = self.of(model_idx).filter(|target| target.barred(wish, tokens).is_none());
        let first = reached.min_by(|a, b| named(a).cmp(&named(b)).then(price(a).total_cmp(&price(b))));
        first.map(|target| target.name.as_str())
    }
}

/// Among the targets of one model: those that fail more often than not are left alone, but at most half of them, the worst
/// first, for what fails at all of them may be the requests; and one that was down gets a part of its calls.
fn spare(places: &mut [(Place, &Target)], chance: &mut impl FnMut() -> f64) {
    let mut outliers: Vec<usize> = (0..places.len()).filter(|at| places[*at].0.standing == Standing::Outlier).collect();
    outliers.sort_by(|a, b| places[*b].0.failed_share.total_cmp(&places[*a].0.failed_share));
    for at in outliers.into_iter().skip(places.len() / 2) {
        places[at].0.standing = Standing::Well;
    }
    for (place, _) in places.iter_mut() {
        if place.standing == Standing::Probe && chance() < place.share {
            place.standing = Standing::Well;
        }
    }
}

/// Draws who goes first in every run of targets that nothing else tells apart. The runs are sorted by load.
fn draw(order: &mut [(Place, &Target)], chance: &mut impl FnMut() -> f64) {
    let mut start = 0;
    while start < order.len() {
        let like = order[start..].iter().take_while(|(place, _)| place.compare(&order[start].0).is_eq()).count();
        let run = &mut order[start..start + like];
        if like > 1 {
            let first = lots::first(like, |at| run[at].0.lot, chance);
            run[..=first].rotate_right(1);
        }
        start += like;
    }
}

/// Where a target stands in the order, and why.
struct Place {
    rank: usize,
    /// Among those that the request names first.
    named: usize,
    /// Whether it is slower than the request prefers.
    misses: bool,
    /// Whether it answered the session before.
    is_seat: bool,
    /// By what the request sorts, and by what where that is the same; 0 where it does not.
    wished: [f64; 2],
    standing: Standing,
    /// How far the request has to go, where that matters.
    far: f64,
    failed_share: f64,
    share: f64,
    lot: Lot,
}

impl Place {
    fn of(target: &Target, rank: usize, wish: &Wish, now: Instant) -> Self {
        let Fares { standing, failed_share, share, latency_ms, tokens_per_second, misses } = target.fares(wish, now);
        let is_left_to_lot = wish.sort.is_none() && wish.order.is_empty();
        Self {
            rank: if wish.is_across { 0 } else { rank },
            named: wish.order.iter().position(|name| target.goes_by(name)).unwrap_or(wish.order.len()),
            misses,
            is_seat: wish.seat.as_deref() == Some(&target.name),
            wished: match wish.sort {
                None => [0.0; 2],
                Some(Sort::Price) => [target.price_sum(), 0.0],
                Some(Sort::Latency) => [latency_ms, 0.0],
                Some(Sort::Throughput) => [-tokens_per_second, latency_ms],
            },
            standing,
            far: target.far(wish),
            failed_share,
            share,
            lot: Lot {
                // One that was never asked counts as quick: somebody has to find out.
                load: (latency_ms + 1.0) * (target.in_flight() + 1) as f64,
                // The sum, by which `sort` goes too: how long the answer will be is not known here.
                price: Some(target.price_sum()).filter(|price| is_left_to_lot && price.is_finite()),
            },
        }
    }

    /// All but the lot.
    fn compare(&self, other: &Self) -> Ordering {
        let key = |place: &Self| (place.standing == Standing::Down, place.rank, place.named, place.misses);
        let seat = |place: &Self| !(place.is_seat && place.standing == Standing::Well);
        let wished = |at: usize| self.wished[at].total_cmp(&other.wished[at]);
        key(self)
            .cmp(&key(other))
            .then(seat(self).cmp(&seat(other)))
            .then(wished(0))
            .then(wished(1))
            .then(self.standing.cmp(&other.standing))
            .then(self.far.total_cmp(&other.far))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use health::Report;

    fn targets(n: usize) -> Targets {
        let settings: Vec<TargetSettings> =
            (0..n).map(|number| TargetSettings::new(format!("t{number}"), "small", "http://127.0.0.1:9/v1")).collect();
        Targets::new(&settings, &HealthSettings::default(), &["small".to_owned()], &BTreeMap::new(), None, |_| None)
            .expect("valid")
    }

    /// Numbers in `[0, 1)` that a seed determines.
    fn chances() -> impl FnMut() -> f64 {
        let mut state = 1_u64;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / (1_u64 << 31) as f64
        }
    }

    /// How often each target is first.
    fn firsts(targets: &Targets, wish: &Wish, now: Instant) -> Vec<usize> {
        let (mut counts, mut chance) = (vec![0; targets.all.len()], chances());
        for _ in 0..10_000 {
            counts[targets.in_order(&[(0, 10.0)], wish, now, &mut chance)[0].position] += 1;
        }
        counts
    }

    #[test]
    fn equals_share_the_calls() {
        for count in firsts(&targets(4), &Wish::default(), Instant::now()) {
            assert!((2_300..2_700).contains(&count), "{count}");
        }
    }

    #[test]
    fn of_two_the_sooner_done_is_first_and_the_slowest_never() {
        let (targets, now) = (targets(4), Instant::now());
        for (target, milliseconds) in targets.iter().zip([10, 20, 30, 40]) {
            target.answered(Duration::from_millis(milliseconds), now);
        }
        let counts = firsts(&targets, &Wish::default(), now);
        // Pairs of four: the best is in half of them, the next is the better one in a third, then a sixth.
        for (count, expected) in counts.iter().zip([5_000_usize, 3_333, 1_667, 0]) {
            assert!(count.abs_diff(expected) < 200, "{counts:?}");
        }
    }

    #[test]
    fn a_dollar_gets_nine_times_the_calls_of_three_unless_the_request_orders_or_sorts() {
        let settings = [1.0, 3.0].map(|usd| TargetSettings {
            price: Some(TargetPrice {
                input_usd_per_mtok: usd,
                output_usd_per_mtok: usd,
                cached_input_usd_per_mtok: None,
            }),
            ..TargetSettings::new(format!("usd-{usd}"), "small", "http://127.0.0.1:9/v1")
        });
        let targets =
            Targets::new(&settings, &HealthSettings::default(), &["small".to_owned()], &BTreeMap::new(), None, |_| {
                None
            });
        let (targets, now) = (targets.expect("valid"), Instant::now());
        let [one, _] = firsts(&targets, &Wish::default(), now)[..] else { panic!("two") };
        // Three standard deviations: 3 · √(10,000 · 0.9 · 0.1).
        assert!(one.abs_diff(9_000) <= 90, "{one}");
        for wish in [
            Wish { order: vec!["somebody".into()], ..Wish::default() },
            Wish { sort: Some(Sort::Latency), ..Wish::default() },
        ] {
            assert!(firsts(&targets, &wish, now)[0].abs_diff(5_000) < 200, "{wish:?}");
        }
        assert_eq!(firsts(&targets, &Wish { sort: Some(Sort::Price), ..Wish::default() }, now), [10_000, 0]);
    }

    #[test]
    fn one_that_is_back_gets_a_part_of_the_calls() {
        let (targets, now) = (targets(2), Instant::now());
        (0..3).for_each(|_| _ = targets.all[0].report(Report::Failed, now));
        assert_eq!(firsts(&targets, &Wish::default(), now), [0, 10_000]);
        let found_out = now + Duration::from_secs(5);
        let counts = firsts(&targets, &Wish::default(), found_out);
        assert!((400..600).contains(&counts[0]), "a tenth of the draws, half of which it wins: {counts:?}");
        targets.all[0].report(Report::Answered, found_out);
        let counts = firsts(&targets, &Wish::default(), found_out + Duration::from_secs(5));
        assert!((2_500..3_000).contains(&counts[0]), "{counts:?}");
    }

    #[test]
    fn at_most_half_are_left_alone_for_failing_now_and_then() {
        let (targets, now) = (targets(4), Instant::now());
        for target in &targets.all[..3] {
            for call in 0..40 {
                target.report(if call % 2 == 0 { Report::Failed } else { Report::Answered }, now);
            }
        }
        (0..2).for_each(|_| _ = targets.all[2].report(Report::Answered, now));
        let counts = firsts(&targets, &Wish::default(), now);
        assert_eq!(counts[..2], [0, 0], "the worst two");
        assert!(counts[2] > 4_000 && counts[3] > 4_000, "{counts:?}");
    }

    #[test]
    fn a_reload_leaves_what_is_known_of_targets_that_stay_as_they_were() {
        let (before, now) = (targets(2), Instant::now());
        for target in before.iter() {
            (0..3).for_each(|_| _ = target.report(Report::Failed, now));
        }
        let busy = before.all[0].begin();
        let mut settings: Vec<TargetSettings> =
            (0..2).map(|number| TargetSettings::new(format!("t{number}"), "small", "http://127.0.0.1:9/v1")).collect();
        settings[1].api_key = Some("another".into());
        let health = HealthSettings::default();
        let after = Targets::new(&settings, &health, &["small".to_owned()], &BTreeMap::new(), Some(&before), |_| None)
            .expect("valid");
        let standings = after.all.iter().map(|target| target.standing(now));
        assert_eq!(standings.collect::<Vec<_>>(), [Standing::Down, Standing::Well], "the second is another one now");
        assert_eq!(after.all[0].in_flight(), 1);
        drop(busy);
        assert_eq!(after.all[0].in_flight(), 0);
    }

    #[test]
    fn a_session_stays_where_it_was_while_that_is_well() {
        let (targets, now) = (targets(3), Instant::now());
        let wish = Wish { seat: Some("t2".into()), ..Wish::default() };
        assert_eq!(firsts(&targets, &wish, now), [0, 0, 10_000]);
        (0..3).for_each(|_| _ = targets.all[2].report(Report::Failed, now));
        assert_eq!(firsts(&targets, &wish, now)[2], 0);
    }
}
