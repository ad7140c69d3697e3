//! A router bound to every objective that a client may name: what a request is answered from, as one piece.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::http::HeaderValue;
use pointsman::{Bound, Catalog, Error as Routing, Objective, Policy, Router};

use crate::error::Error;
use crate::targets::wish::Sort;
use crate::wire::headers::encoded;
use crate::wire::json::Text;
use crate::wire::models::{Model, Pricing};

/// The name that means the operator's objective.
pub(crate) const AUTO: &str = "auto";

/// Aliases of the named objectives.
const ALIASES: [(&str, Objective); 4] = [
    ("auto:quality", Objective::Quality),
    ("auto:balanced", Objective::Balanced),
    ("auto:cheap", Objective::Cheap),
    ("auto:fast", Objective::Fast),
];

/// A router under every objective; immutable.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Alias, objective and policy; the first is [`AUTO`].
    policies: Vec<(&'static str, Objective, Bound)>,
    /// Objectives of the operator's that no alias has.
    ready: Vec<(Objective, Bound)>,
    /// The operator's names, by name.
    aliases: BTreeMap<String, Stands>,
    catalog: Catalog,
    version: String,
    version_header: HeaderValue,
    config_version: u64,
    /// The model that is best on average, by training's means.
    best_single: usize,
    model_headers: Vec<HeaderValue>,
}

/// What a name of the operator's stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    /// Position of a model.
    Model(usize),
    /// Position of a policy.
    Policy(usize),
}

/// What a request says of whom it wants.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted<'q> {
    /// Alias or name of a model; absent: `auto`, or the first of `models`.
    pub(crate) model: Option<&'q str>,
    /// Names of models in the caller's own order, to be tried after `model`.
    pub(crate) models: &'q [Text<'q>],
    /// Objective of the request's own options.
    pub(crate) objective: Option<&'q Objective>,
    /// Objective for a request that names none itself.
    pub(crate) hinted: Option<&'q Objective>,
    /// Objective of the tenant, for a request that does not say one in any way.
    pub(crate) tenants: Option<&'q Objective>,
    /// Objective of the operator's rule, which goes before all others.
    pub(crate) ruled: Option<&'q Objective>,
    /// Patterns of the models that may be chosen; empty: all.
    pub(crate) allow: &'q [String],
    /// Patterns of those that may not.
    pub(crate) deny: &'q [String],
}

/// What that stands for.
#[derive(Clone, Debug)]
pub(crate) struct Selection<'s> {
    /// The alias or the model's name.
    pub(crate) route: &'s str,
    /// The policy that judges the candidates.
    pub(crate) bound: Cow<'s, Bound>,
    /// Positions of the models asked for by name, the first to be tried first; empty where the router chooses.
    pub(crate) requested: Vec<usize>,
    /// How targets of a model are sorted, where its name says so.
    pub(crate) sort: Option<Sort>,
}

impl Snapshot {
    /// Binds `router` to `objective` and to every named one that it can serve, at the prices of `catalog`.
    pub(crate) fn new(
        router: &Router,
        catalog: Catalog,
        objective: &Objective,
        aliases: &BTreeMap<String, String>,
        config_version: u64,
    ) -> Result<Self, Error> {
        let bind = |objective: &Objective| {
            router.bind(&catalog, &Policy { objective: objective.clone(), ..Policy::default() })
        };
        let mut policies = vec![(AUTO, objective.clone(), bind(objective)?)];
        for (alias, objective) in ALIASES {
            match bind(&objective) {
                Ok(bound) => policies.push((alias, objective, bound)),
                Err(Routing::NoLatency) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let version = format!("sha256:{}", router.identity());
        let aliases = aliases
            .keys()
            .map(|name| Ok((name.clone(), stands(router, &policies, aliases, name)?)))
            .collect::<Result<_, Error>>()?;
        Ok(Self {
            aliases,
            version_header: encoded(&version),
            model_headers: router.models().iter().map(|name| encoded(name)).collect(),
            policies,
            ready: Vec::new(),
            best_single: best_single(router),
            catalog,
            version,
            config_version,
        })
    }

    /// Binds the router to one more objective, of a tenant or a rule, so that requests find it ready.
    ///
    /// # Errors
    /// [`Error::Router`] where the router cannot be bound to it.
    pub(crate) fn prepare(&mut self, objective: &Objective) -> Result<(), Error> {
        let known = self.policies.iter().map(|(_, known, _)| known).chain(self.ready.iter().map(|(known, _)| known));
        if !known.into_iter().any(|known| known == objective) {
            let policy = Policy { objective: objective.clone(), ..Policy::default() };
            self.ready.push((objective.clone(), self.router().bind(&self.catalog, &policy)?));
        }
        Ok(())
    }

    /// What a request's wishes stand for. Aliases go before models of the same name; an objective of the request's
    /// own options goes before the header's, which goes before the tenant's, and that before the operator's.
    pub(crate) fn select(&self, wanted: Wanted<'_>) -> Result<Selection<'_>, Error> {
        let first = match (wanted.model, wanted.models) {
            (None, [first, ..]) => first.0.as_ref(),
            (model, _) => model.unwrap_or(AUTO),
        };
        let (stands, mut sort) = self.sorted(first)?;
        let (route, mut requested, named) = match stands {
            (route, Stands::Policy(0)) => (route, Vec::new(), None),
            (route, Stands::Policy(policy)) => (route, Vec::new(), Some(&self.policies[policy].1)),
            (route, Stands::Model(idx)) => (route, vec![idx], None),
        };
        if !wanted.models.is_empty() {
            if requested.is_empty() {
                return Err(Error::Contradiction {
                    param: "models",
                    other: "a `model` that leaves the choice to the router",
                });
            }
            for name in wanted.models {
                let (stands, sorted) = self.sorted(&name.0).map_err(|error| match error {
                    Error::ModelNotFound { model, .. } => Error::ModelNotFound { param: "models", model },
                    error => error,
                })?;
                sort = sort.or(sorted);
                match stands.1 {
                    Stands::Model(idx) if requested.contains(&idx) => {}
                    Stands::Model(idx) => requested.push(idx),
                    Stands::Policy(_) => return Err(Error::invalid("models", "names of models", "an objective")),
                }
            }
        }
        if named.is_some() && wanted.objective.is_some() {
            return Err(Error::Contradiction {
                param: "pointsman.objective",
                other: "a `model` that names an objective",
            });
        }
        let (objective, param) = match (wanted.objective, named) {
            _ if wanted.ruled.is_some() => (wanted.ruled, "policies"),
            (Some(objective), _) => (Some(objective), "pointsman.objective"),
            (None, Some(objective)) => (Some(objective), "model"),
            (None, None) if wanted.hinted.is_some() => (wanted.hinted, "x-pointsman-objective"),
            (None, None) => (wanted.tenants, "tenants"),
        };
        let bound = self.bound(objective, param, wanted.allow, wanted.deny)?;
        Ok(Selection { route, bound, requested, sort })
    }

    /// A ready policy where there is one, else one made for this request.
    fn bound(
        &self,
        objective: Option<&Objective>,
        param: &'static str,
        allow: &[String],
        deny: &[String],
    ) -> Result<Cow<'_, Bound>, Error> {
        let (_, operators, auto) = &self.policies[0];
        if allow.is_empty() && deny.is_empty() {
            let Some(objective) = objective else { return Ok(Cow::Borrowed(auto)) };
            let named = self.policies.iter().map(|(_, known, bound)| (known, bound));
            let mut ready = named.chain(self.ready.iter().map(|(known, bound)| (known, bound)));
            if let Some((_, bound)) = ready.find(|(known, _)| *known == objective) {
                return Ok(Cow::Borrowed(bound));
            }
        }
        let objective = objective.unwrap_or(operators).clone();
        let policy = Policy { objective, allow: allow.to_vec(), deny: deny.to_vec() };
        self.router().bind(&self.catalog, &policy).map(Cow::Owned).map_err(|error| match error {
            Routing::UnknownModel { model, .. } => {
                let param = if allow.contains(&model) { "pointsman.allow" } else { "pointsman.deny" };
                Error::ModelNotFound { param, model: shortened(&model) }
            }
            Routing::EmptyPool => Error::EmptyPool,
            Routing::NoLatency => Error::NoLatency { param },
            // What remains is a number outside its domain, which the request's own reading refuses.
            error => Error::Router(error),
        })
    }

    /// What a name stands for, and how targets are sorted where it ends in `:floor` (the cheapest first) or `:nitro` (the most
    /// tokens per second).
    fn sorted(&self, name: &str) -> Result<((&str, Stands), Option<Sort>), Error> {
        match self.stands_for(name) {
            Ok(stands) => Ok((stands, None)),
            Err(error) => {
                let endings = [(":floor", Sort::Price), (":nitro", Sort::Throughput)];
                let ending = endings.iter().find_map(|(ending, sort)| Some((name.strip_suffix(ending)?, *sort)));
                let Some((name, sort)) = ending else { return Err(error) };
                Ok((self.stands_for(name).map_err(|_| error)?, Some(sort)))
            }
        }
    }

    /// What a name stands for, and the name as this snapshot has it. Objectives go before the operator's names, and those
    /// before models of the same name.
    fn stands_for(&self, name: &str) -> Result<(&str, Stands), Error> {
        if let Some(position) = self.policies.iter().position(|(alias, ..)| *alias == name) {
            return Ok((self.policies[position].0, Stands::Policy(position)));
        }
        if let Some((alias, stands)) = self.aliases.get_key_value(name) {
            return Ok((alias, *stands));
        }
        let idx = self.model_idx(name)?;
        Ok((&self.router().models()[idx], Stands::Model(idx)))
    }

    fn model_idx(&self, model: &str) -> Result<usize, Error> {
        let position = self.router().models().iter().position(|name| name == model);
        position.ok_or_else(|| {
            if ALIASES.iter().any(|(alias, _)| *alias == model) {
                Error::NoLatency { param: "model" }
            } else {
                Error::ModelNotFound { param: "model", model: shortened(model) }
            }
        })
    }

    /// The model that is best on average, by training's means.
    pub(crate) fn best_single(&self) -> usize {
        self.best_single
    }

    /// The router.
    pub(crate) fn router(&self) -> &Router {
        self.policies[0].2.router()
    }

    /// Everything that `model` may be: the aliases, then the models.
    pub(crate) fn list(&self) -> Vec<Model<'_>> {
        let entry = |id, owned_by, pricing| Model { owned_by, pricing, ..Model::other(id) };
        let pricing = |name: &str| {
            let price = self.catalog.get(name)?.price?;
            Some(Pricing {
                input_usd_per_mtok: price.input_usd_per_mtok,
                output_usd_per_mtok: price.output_usd_per_mtok,
            })
        };
        let aliases = self.policies.iter().map(|(alias, ..)| *alias).chain(self.aliases.keys().map(String::as_str));
        let aliases = aliases.map(|alias| entry(alias, "pointsman", None));
        // A name means the alias where there is one.
        let models = self.router().models().iter().filter(|name| !self.aliases.contains_key(*name));
        let models = models.map(|name| entry(name, "upstream", pricing(name)));
        aliases.chain(models).collect()
    }

    /// `sha256:` and the artifact's identity.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// The same as a header's value.
    pub(crate) fn version_header(&self) -> HeaderValue {
        self.version_header.clone()
    }

    /// How many configurations this process has served, this one included.
    pub(crate) fn config_version(&self) -> u64 {
        self.config_version
    }

    /// A model's name as a header's value.
    pub(crate) fn model_header(&self, model_idx: usize) -> HeaderValue {
        self.model_headers[model_idx].clone()
    }
}

fn best_single(router: &Router) -> usize {
    let statics = router.document().statics.iter().enumerate();
    statics.max_by(|a, b| a.1.quality.total_cmp(&b.1.quality)).map_or(0, |(model_idx, _)| model_idx)
}

/// What an alias of the configuration stands for, be it by way of others: `chat~latest` for `chat@2026-11`, say, and that for
/// a model.
fn stands(
    router: &Router,
    policies: &[(&'static str, Objective, Bound)],
    aliases: &BTreeMap<String, String>,
    name: &str,
) -> Result<Stands, Error> {
    let bad = |expected: &'static str, got: &str| Error::Alias { name: name.to_owned(), expected, got: shortened(got) };
    if name.is_empty() || name == AUTO || name.starts_with("auto:") {
        return Err(bad("a name that is not `auto` nor begins with `auto:`", name));
    }
    let stands = |name: &str| {
        let policy = policies.iter().position(|(alias, ..)| *alias == name).map(Stands::Policy);
        policy.or_else(|| router.models().iter().position(|model| model == name).map(Stands::Model))
    };
    let mut last = name;
    for _ in aliases {
        let stands_for = &aliases[last];
        if let Some(stands) = stands(stands_for) {
            return Ok(stands);
        }
        if !aliases.contains_key(stands_for) {
            let expected = "a model of the router, `auto` with or without an objective, or another alias";
            return Err(Error::Alias { name: last.to_owned(), expected, got: shortened(stands_for) });
        }
        last = stands_for;
    }
    // The way was longer than there are aliases.
    Err(bad("a way to a model", &format!("a circle by way of {}", aliases[name])))
}

/// As much of a name as an error repeats.
fn shortened(name: &str) -> String {
    name.chars().take(80).collect()
}
