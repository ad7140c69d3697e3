//! Tenants: who may ask, for which models, and how often.
//!
//! Without a tenant everyone may, as on a loopback. With one, every request of the data plane needs a key of somebody's.

pub(crate) mod bucket;
pub(crate) mod budget;
pub(crate) mod keys;
mod made;
pub(crate) mod places;
pub(crate) mod tokens;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::http::header::HeaderName;
use axum::http::{HeaderMap, HeaderValue};
use pointsman::Objective;
use pointsman::policy::matches;

use crate::error::Error;
use crate::regions::{RegionPolicy, TenantRegion, is_region};
use bucket::{Bucket, Quota};
use budget::{Account, Budget};
pub use keys::KeySettings;
use keys::Keys;
pub use made::NewKey;
use places::{Place, Places};
use tokens::TokenLimit;

/// Headers that say what is left of a limit: the limit, what remains of it, and when it will be whole.
type QuotaHeaders = [HeaderName; 3];

const OF_REQUESTS: QuotaHeaders = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];
pub(crate) const OF_TOKENS: QuotaHeaders = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];

/// A tenant as configured; [`Settings::tenants`](crate::Settings::tenants).
#[derive(Clone, Debug, PartialEq)]
pub struct TenantSettings {
    /// Unique; in metrics and logs.
    pub name: String,
    /// SHA-256 of each of its keys, 64 hexadecimal digits; at least one here or in `keys`.
    pub key_sha256: Vec<String>,
    /// Further keys, of which more is said. Default: none.
    pub keys: Vec<KeySettings>,
    /// Names or patterns (`*`, `?`) of the router's models that it may use. Default: all.
    pub models: Vec<String>,
    /// Where its requests come from that do not say so themselves. Default: not said.
    pub region: Option<String>,
    /// What the region of its requests means; where that is [`RegionPolicy::Require`] they may not name another than `region`.
    /// Default: the operator's.
    pub region_policy: Option<RegionPolicy>,
    /// What the router weighs for its requests that do not say. Default: the operator's.
    pub objective: Option<Objective>,
    /// Most requests at a time, at least 1, from the first byte to the end of the answer; a batch counts as one.
    /// Default: no limit.
    pub max_in_flight: Option<usize>,
    /// Most requests in a minute, at least 1; a batch counts as one. Default: no limit.
    pub requests_per_minute: Option<u32>,
    /// Most tokens in a minute, at least 1, of requests and answers; what is under way may overshoot by its answers.
    /// Default: no limit.
    pub tokens_per_minute: Option<u32>,
    /// Most USD on a day, from midnight UTC, above 0. Default: no limit.
    pub budget_usd_per_day: Option<f64>,
}

impl TenantSettings {
    /// A tenant with these digests of keys, and without limits.
    pub fn new(name: impl Into<String>, key_sha256: Vec<String>) -> Self {
        Self {
            name: name.into(),
            key_sha256,
            keys: Vec::new(),
            models: vec!["*".into()],
            region: None,
            region_policy: None,
            objective: None,
            max_in_flight: None,
            requests_per_minute: None,
            tokens_per_minute: None,
            budget_usd_per_day: None,
        }
    }
}

/// A tenant as it is configured, and what it has used.
#[derive(Clone, Debug)]
pub(crate) struct Tenant {
    name: Arc<str>,
    /// The router's models that it may not use.
    denied: Arc<[String]>,
    region: Arc<TenantRegion>,
    objective: Option<Objective>,
    /// Requests under way, counted from the moment that there is a limit.
    /// What metrics call it: its name, or of more than they should have, `other`.
    label: Arc<str>,
    places: Places,
    max_in_flight: Option<usize>,
    bucket: Option<Arc<Mutex<Bucket>>>,
    tokens: Option<TokenLimit>,
    account: Arc<Account>,
    budget: Option<Budget>,
}

/// Tenants that metrics call by name, the first ones of the configuration, and what they call all others.
const MOST_LABELLED: usize = 200;
const OTHER: &str = "other";

/// Tenants that were left out and are remembered.
const MOST_GONE: usize = 10_000;

/// All tenants, validated against a router's models.
#[derive(Debug, Default)]
pub(crate) struct Tenants {
    all: Vec<Tenant>,
    /// Those that were left out of the configuration: where they come back, they have spent what they have spent.
    gone: Vec<Tenant>,
    keys: Keys,
}

/// A request that may go on.
#[derive(Clone, Debug)]
pub(crate) struct Admitted {
    /// The tenant.
    pub(crate) name: Arc<str>,
    /// What metrics call it.
    pub(crate) label: Arc<str>,
    /// The router's models that it may not use.
    pub(crate) denied: Arc<[String]>,
    /// What its settings say of its region.
    pub(crate) region: Arc<TenantRegion>,
    /// What it may spend, where that is limited.
    pub(crate) budget: Option<Budget>,
    /// How many tokens it may use, where that is limited.
    pub(crate) tokens: Option<TokenLimit>,
    /// What the router weighs where the request does not say.
    pub(crate) objective: Option<Objective>,
    quota: Option<Quota>,
}

/// Why a request is kept out, and the tenant where that is for its limit.
type Kept<'t> = (Error, Option<&'t Tenant>);

impl Tenant {
    /// What metrics call it.
    pub(crate) fn label(&self) -> Arc<str> {
        Arc::clone(&self.label)
    }

    /// Says in a refusal what is left of the limit.
    pub(crate) fn mark(&self, headers: &mut HeaderMap, now: Instant) {
        let bucket =
            self.bucket.as_ref().map(|bucket| bucket.lock().unwrap_or_else(PoisonError::into_inner).take(0, now));
        if let Some(Ok(quota)) = bucket {
            quota.mark(headers, &OF_REQUESTS);
        }
    }
}

impl Tenants {
    /// Checks what is configured. A tenant whose limit is what it was in `before` keeps what it has used of it; what it has spent it
    /// keeps in any case, and at the start that is what `spent` says of today.
    pub(crate) fn new(
        settings: &[TenantSettings],
        models: &[String],
        before: Option<&Self>,
        spent: &BTreeMap<String, f64>,
        now_us: i64,
    ) -> Result<Self, Error> {
        let mut tenants = Self::default();
        if let Some(before) = before {
            let is_gone = |tenant: &&Tenant| !settings.iter().any(|setting| *setting.name == *tenant.name);
            tenants.gone = before.all.iter().chain(&before.gone).filter(is_gone).take(MOST_GONE).cloned().collect();
        }
        for setting in settings {
            let bad = |field, expected, got: &str| Error::tenant(&setting.name, field, expected, got);
            if setting.name.is_empty() || tenants.all.iter().any(|known| *known.name == *setting.name) {
                return Err(bad("name", "one that no other tenant has", &setting.name));
            }
            tenants.keys.know(setting, tenants.all.len())?;
            for pattern in &setting.models {
                if !models.iter().any(|model| matches(pattern, model)) {
                    return Err(bad("models", "patterns that fit a model of the router", pattern));
                }
            }
            if let Some(region) = setting.region.as_ref().filter(|region| !is_region(region)) {
                return Err(bad("region", "1 to 64 visible ASCII characters", region));
            }
            let may = |model: &&String| setting.models.iter().any(|pattern| matches(pattern, model));
            if setting.max_in_flight == Some(0) {
                return Err(bad("max_in_flight", "at least 1", "0"));
            }
            let bucket = match setting.requests_per_minute {
                None => None,
                Some(0) => return Err(bad("requests_per_minute", "at least 1", "0")),
                Some(limit) => Some(
                    before
                        .and_then(|b| b.bucket(&setting.name, limit))
                        .unwrap_or_else(|| Arc::new(Mutex::new(Bucket::new(limit)))),
                ),
            };
            let tokens = match setting.tokens_per_minute {
                None => None,
                Some(0) => return Err(bad("tokens_per_minute", "at least 1", "0")),
                Some(limit) => {
                    Some(before.and_then(|b| b.tokens(&setting.name, limit)).unwrap_or_else(|| TokenLimit::new(limit)))
                }
            };
            if let Some(usd) = setting.budget_usd_per_day.filter(|usd| !(*usd > 0.0 && usd.is_finite())) {
                return Err(bad("budget_usd_per_day", "a number above 0", &usd.to_string()));
            }
            let known = before.and_then(|before| before.ever(&setting.name));
            let new = || {
                let spent_usd = spent.get(&setting.name).copied().unwrap_or_default();
                Arc::new(Account::new(spent_usd, now_us))
            };
            let account = known.map_or_else(new, |tenant| Arc::clone(&tenant.account));
            let budget = setting.budget_usd_per_day;
            tenants.all.push(Tenant {
                budget: budget.map(|limit_usd| Budget { limit_usd, account: Arc::clone(&account) }),
                account,
                name: setting.name.as_str().into(),
                label: if tenants.all.len() < MOST_LABELLED { setting.name.as_str() } else { OTHER }.into(),
                denied: models.iter().filter(|model| !may(model)).cloned().collect(),
                region: Arc::new(TenantRegion { name: setting.region.clone(), policy: setting.region_policy }),
                objective: setting.objective.clone(),
                places: known.map_or_else(Places::default, |tenant| tenant.places.clone()),
                max_in_flight: setting.max_in_flight,
                bucket,
                tokens,
            });
        }
        Ok(tenants)
    }

    fn named(&self, name: &str) -> Option<&Tenant> {
        self.all.iter().find(|tenant| *tenant.name == *name)
    }

    /// The same, be it that it was left out meanwhile.
    fn ever(&self, name: &str) -> Option<&Tenant> {
        self.named(name).or_else(|| self.gone.iter().find(|tenant| *tenant.name == *name))
    }

    /// The bucket of a tenant of this name and limit.
    fn bucket(&self, name: &str, limit: u32) -> Option<Arc<Mutex<Bucket>>> {
        let bucket = self.ever(name)?.bucket.as_ref()?;
        let same = bucket.lock().unwrap_or_else(PoisonError::into_inner).limit() == limit;
        same.then(|| Arc::clone(bucket))
    }

    /// The limit on tokens of a tenant of this name and limit.
    fn tokens(&self, name: &str, limit: u32) -> Option<TokenLimit> {
        let tokens = self.ever(name)?.tokens.as_ref()?;
        (tokens.per_minute() == limit).then(|| tokens.clone())
    }

    /// Models that a tenant may not use; `None` where there is no such tenant.
    pub(crate) fn denied(&self, name: &str) -> Option<Arc<[String]>> {
        Some(Arc::clone(&self.named(name)?.denied))
    }

    /// What the router weighs for a tenant whose requests do not say.
    pub(crate) fn objective(&self, name: &str) -> Option<&Objective> {
        self.named(name)?.objective.as_ref()
    }

    /// What a tenant's settings say of its region; nothing where there is no such tenant.
    pub(crate) fn region(&self, name: &str) -> Arc<TenantRegion> {
        let tenant = self.all.iter().find(|tenant| *tenant.name == *name);
        tenant.map(|tenant| Arc::clone(&tenant.region)).unwrap_or_default()
    }

    /// The budget of a tenant.
    pub(crate) fn budget(&self, name: &str) -> Option<Budget> {
        self.all.iter().find(|tenant| *tenant.name == *name)?.budget.clone()
    }

    /// Tenants with a budget, and what is left of it today.
    pub(crate) fn left(&self, now_us: i64) -> impl Iterator<Item = (&str, f64)> {
        // One by one, and not more than metrics should have.
        let named = self.all.iter().filter(|tenant| tenant.label == tenant.name);
        named.filter_map(move |tenant| Some((&*tenant.name, tenant.budget.as_ref()?.left_usd(now_us))))
    }

    /// Whether there is none, and so everyone may.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Lets a request of a tenant in by its headers, or not; where requests at a time are limited, with a place among them.
    /// The error of a tenant that asks too often comes with its name. `clock` says how many microseconds have passed since
    /// 1970, to keys that expire.
    pub(crate) fn admit(
        &self,
        headers: &HeaderMap,
        now: Instant,
        clock: impl FnOnce() -> i64,
    ) -> Result<(Admitted, Option<Place>), Kept<'_>> {
        let tenant = self.keys.whose(headers, clock).map_err(|error| (error, None))?;
        let tenant = &self.all[tenant];
        let named = Some(tenant);
        let place = tenant
            .max_in_flight
            .map(|limit| tenant.places.take(limit).ok_or_else(|| (Error::TenantBusy { limit }, named)));
        let place = place.transpose()?;
        // Nothing is left half changed by a panic.
        let taken = tenant.bucket.as_ref().map(|b| b.lock().unwrap_or_else(PoisonError::into_inner).take(1, now));
        let quota = taken.transpose().map_err(|wait| (Error::rate_limited(wait), named))?;
        let admitted = Admitted {
            name: Arc::clone(&tenant.name),
            label: Arc::clone(&tenant.label),
            denied: Arc::clone(&tenant.denied),
            region: Arc::clone(&tenant.region),
            budget: tenant.budget.clone(),
            tokens: tenant.tokens.clone(),
            objective: tenant.objective.clone(),
            quota,
        };
        Ok((admitted, place))
    }
}

impl Admitted {
    /// Says in a reply what is left of the limit, by OpenAI's names.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        if let Some(quota) = self.quota {
            quota.mark(headers, &OF_REQUESTS);
        }
    }
}

impl Quota {
    /// Says in a reply what is left.
    pub(crate) fn mark(&self, headers: &mut HeaderMap, [limit, remaining, reset]: &QuotaHeaders) {
        headers.insert(limit, self.limit.into());
        headers.insert(remaining, self.remaining.into());
        let seconds = HeaderValue::try_from(format!("{:.3}s", self.reset.as_secs_f64()));
        headers.insert(reset, seconds.expect("digits are a valid value"));
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header::AUTHORIZATION;

    use super::*;
    use crate::wire::protocol::API_KEY;

    fn digest(key: &str) -> String {
        pointsman::artifact::identity(key.as_bytes())
    }

    fn acme() -> TenantSettings {
        TenantSettings {
            models: vec!["small*".into()],
            requests_per_minute: Some(2),
            ..TenantSettings::new("acme", vec![digest("pm-acme")])
        }
    }

    fn models() -> Vec<String> {
        ["large", "small", "small-2"].map(str::to_owned).into()
    }

    fn bearing(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::try_from(value).expect("visible"))])
    }

    #[test]
    fn only_a_key_lets_in() {
        let tenants = Tenants::new(&[acme()], &models(), None, &BTreeMap::new(), 0).expect("valid");
        let now = Instant::now();
        assert_eq!(&*tenants.admit(&bearing("Bearer pm-acme"), now, || 0).expect("let in").0.denied, ["large"]);
        assert!(tenants.admit(&bearing("bearer  pm-acme"), now, || 0).is_ok(), "the scheme is not a matter of case");
        for wrong in ["Bearer pm-acm", "Bearer pm-acmee", "pm-acme", "Basic pm-acme", "Bearer ", "Bearer"] {
            let error = tenants.admit(&bearing(wrong), now, || 0).expect_err("kept out").0;
            assert!(matches!(error, Error::Unauthorized), "{wrong}");
        }
        let anthropics = HeaderMap::from_iter([(API_KEY, HeaderValue::from_static("pm-acme"))]);
        assert!(
            tenants.admit(&anthropics, now, || 0).is_err_and(|(error, _)| matches!(error, Error::RateLimited { .. })),
            "known"
        );
        let digest_as_key = format!("Bearer {}", digest("pm-acme"));
        assert!(tenants.admit(&bearing(&digest_as_key), now, || 0).is_err(), "what is stored opens nothing");
        assert!(tenants.admit(&HeaderMap::new(), now, || 0).is_err());
        assert!(Tenants::default().is_empty() && !tenants.is_empty());
    }

    #[test]
    fn a_limit_outlives_a_reload_that_leaves_it_as_it_was() {
        let now = Instant::now();
        let tenants = Tenants::new(&[acme()], &models(), None, &BTreeMap::new(), 0).expect("valid");
        assert!((0..2).all(|_| tenants.admit(&bearing("Bearer pm-acme"), now, || 0).is_ok()));
        let same = Tenants::new(&[acme()], &models(), Some(&tenants), &BTreeMap::new(), 0).expect("valid");
        let (error, name) = same.admit(&bearing("Bearer pm-acme"), now, || 0).expect_err("used up");
        assert!(
            matches!(error, Error::RateLimited { retry_after: 30 })
                && name.is_some_and(|tenant| *tenant.name == *"acme"),
            "{error}"
        );
        let more = TenantSettings { requests_per_minute: Some(3), ..acme() };
        let changed = Tenants::new(&[more], &models(), Some(&tenants), &BTreeMap::new(), 0).expect("valid");
        assert!(changed.admit(&bearing("Bearer pm-acme"), now, || 0).is_ok());
    }

    #[test]
    fn a_key_opens_until_it_expires() {
        let key = |key: &str, expires: &str| KeySettings { sha256: digest(key), expires: Some(expires.to_owned()) };
        let keys = vec![key("pm-short", "1970-01-01T00:00:01Z"), key("pm-long", "1970-01-01T01:00:02+01:00")];
        let settings = TenantSettings { key_sha256: Vec::new(), keys, requests_per_minute: None, ..acme() };
        let tenants = Tenants::new(&[settings], &models(), None, &BTreeMap::new(), 0).expect("valid");
        let admit = |key: &str, at_us: i64| {
            tenants
                .admit(&bearing(&format!("Bearer {key}")), Instant::now(), || at_us)
                .map(drop)
                .map_err(|error| error.0)
        };
        assert!(admit("pm-short", 999_999).is_ok() && admit("pm-long", 1_999_999).is_ok());
        for (key, at_us) in [("pm-short", 1_000_000), ("pm-long", 2_000_000)] {
            assert!(matches!(admit(key, at_us), Err(Error::KeyExpired)), "{key}");
        }
        assert!(matches!(admit("pm-other", 0), Err(Error::Unauthorized)));
    }

    #[test]
    fn places_outlive_a_reload_and_cost_no_requests_of_the_minute() {
        let tenant = |limit| TenantSettings { max_in_flight: Some(limit), ..acme() };
        let load = |limit, before: Option<&Tenants>| {
            Tenants::new(&[tenant(limit)], &models(), before, &BTreeMap::new(), 0).expect("valid")
        };
        let admit = |tenants: &Tenants| {
            let admitted = tenants.admit(&bearing("Bearer pm-acme"), Instant::now(), || 0);
            admitted
                .map(|(_, place)| place.expect("a limit"))
                .map_err(|(error, name)| (error.to_string(), name.map(|tenant| tenant.name.to_string())))
        };
        let tenants = load(1, None);
        let first = admit(&tenants).expect("let in");
        let busy = "busy: 1 request of this tenant is being answered, as many as it may have at a time";
        let refused = (busy.to_owned(), Some("acme".to_owned()));
        assert_eq!(admit(&tenants).expect_err("one at a time"), refused);
        let same = load(1, Some(&tenants));
        assert_eq!(admit(&same).expect_err("the first is still under way"), refused);
        let more = load(2, Some(&same));
        let second = admit(&more).expect("two at a time now");
        drop((first, second));
        assert!(admit(&load(3, Some(&more))).expect_err("two in a minute").0.starts_with("too many requests"));
    }

    #[test]
    fn who_is_left_out_and_comes_back_has_spent_what_it_has_spent() {
        let acme = TenantSettings { budget_usd_per_day: Some(1.0), ..acme() };
        let load = |settings: &[TenantSettings], before: Option<&Tenants>| {
            Tenants::new(settings, &models(), before, &BTreeMap::new(), 0).expect("valid")
        };
        let other = TenantSettings { name: "other".into(), key_sha256: vec![digest("pm-2")], ..acme.clone() };
        let first = load(&[acme.clone(), other.clone()], None);
        let (admitted, _) = first.admit(&bearing("Bearer pm-acme"), Instant::now(), || 0).expect("let in");
        admitted.budget.expect("a budget").reserve(0.75, 0).expect("enough").settle(0.75, 0);
        let without = load(std::slice::from_ref(&other), Some(&first));
        assert!(without.admit(&bearing("Bearer pm-acme"), Instant::now(), || 0).is_err());
        let still = load(&[other], Some(&without));
        let back = load(&[acme], Some(&still));
        assert_eq!(back.left(0).collect::<Vec<_>>(), [("acme", 0.25)]);
    }

    #[test]
    fn settings_are_checked() {
        let other = TenantSettings { name: "other".into(), ..acme() };
        let expiring = |expires: &str| vec![KeySettings { sha256: digest("pm-2"), expires: Some(expires.into()) }];
        for (settings, expected) in [
            (vec![TenantSettings { name: String::new(), ..acme() }], "name expected"),
            (vec![acme(), acme()], "name expected one that no other tenant has"),
            (vec![acme(), other], "key_sha256 expected a key that nobody else has"),
            (vec![TenantSettings { key_sha256: vec![], ..acme() }], "key_sha256 expected at least one"),
            (vec![TenantSettings { key_sha256: vec!["pm-acme".into()], ..acme() }], "64 hexadecimal digits"),
            (vec![TenantSettings { key_sha256: vec!["ä".repeat(64)], ..acme() }], "64 hexadecimal digits"),
            (
                vec![TenantSettings { keys: vec![KeySettings { sha256: digest("pm-acme"), expires: None }], ..acme() }],
                "keys.sha256 expected a key that nobody else has",
            ),
            (
                vec![TenantSettings { keys: expiring("2027-01-31"), ..acme() }],
                "keys.expires expected a moment in RFC 3339",
            ),
            (
                vec![TenantSettings { keys: expiring("2027-02-30T00:00:00Z"), ..acme() }],
                "keys.expires expected a moment",
            ),
            (vec![TenantSettings { max_in_flight: Some(0), ..acme() }], "max_in_flight expected at least 1"),
            (vec![TenantSettings { models: vec!["gpt*".into()], ..acme() }], "models expected patterns"),
            (vec![TenantSettings { budget_usd_per_day: Some(0.0), ..acme() }], "budget_usd_per_day expected a number"),
            (
                vec![TenantSettings { requests_per_minute: Some(0), ..acme() }],
                "requests_per_minute expected at least 1",
            ),
        ] {
            let error = Tenants::new(&settings, &models(), None, &BTreeMap::new(), 0).expect_err("refused").to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
