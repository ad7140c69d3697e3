//! What a request says of itself, and what of that conditions may ask for. Only what some rule asks for is looked up.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use cel::common::ast::{EntryExpr, Expr, IdedEntryExpr, IdedExpr};
use cel::{Context, Env, Value};
use pointsman::artifact::CostHead;
use pointsman::{ContextValue, Turn};

use super::client::{device, locale};
use crate::moment::{hour, weekday};

/// What a request says of itself, as it says it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'f> {
    pub(crate) context: &'f [(&'f str, ContextValue<'f>)],
    /// Empty where there is none.
    pub(crate) tenant: &'f str,
    pub(crate) session: &'f str,
    pub(crate) region: &'f str,
    /// What was asked for: `auto`, an alias, a model.
    pub(crate) model: &'f str,
    pub(crate) tools: usize,
    pub(crate) images: usize,
    pub(crate) json: bool,
    pub(crate) turns: &'f [Turn<'f>],
    /// How the router counts tokens, by model.
    pub(crate) costs: &'f [CostHead],
    pub(crate) tags: &'f [String],
    /// The body's own; empty where no rule asks for it.
    pub(crate) metadata: &'f [(Cow<'f, str>, Cow<'f, str>)],
    /// Headers of the client's; empty where there is none.
    pub(crate) user_agent: &'f [u8],
    pub(crate) accept_language: &'f [u8],
    /// Microseconds since 1970; 0 where no rule asks for the time.
    pub(crate) at_us: i64,
}

impl Facts<'_> {
    /// Those of a request that says nothing of itself.
    pub(super) const fn nothing() -> Self {
        Self {
            context: &[],
            tenant: "",
            session: "",
            region: "",
            model: "",
            tools: 0,
            images: 0,
            json: false,
            turns: &[],
            costs: &[],
            tags: &[],
            metadata: &[],
            user_agent: b"",
            accept_language: b"",
            at_us: 0,
        }
    }
}

/// What a condition may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variable {
    Context,
    Tenant,
    Session,
    Region,
    Model,
    Tools,
    Images,
    Json,
    Turns,
    Chars,
    Tokens,
    Tags,
    Metadata,
    Device,
    Locale,
    Hour,
    Weekday,
}

/// All of them, for errors; a test holds it against the set.
pub(super) const NAMES: &str = "context, tenant, session, region, model, tools, images, json, turns, chars, tokens, tags, \
    metadata, device, locale, hour or weekday";

impl Variable {
    pub(crate) const ALL: [(&str, Self); 17] = [
        ("context", Self::Context),
        ("tenant", Self::Tenant),
        ("session", Self::Session),
        ("region", Self::Region),
        ("model", Self::Model),
        ("tools", Self::Tools),
        ("images", Self::Images),
        ("json", Self::Json),
        ("turns", Self::Turns),
        ("chars", Self::Chars),
        ("tokens", Self::Tokens),
        ("tags", Self::Tags),
        ("metadata", Self::Metadata),
        ("device", Self::Device),
        ("locale", Self::Locale),
        ("hour", Self::Hour),
        ("weekday", Self::Weekday),
    ];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, variable)| *variable)
    }
}

/// A set of variables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked(u32);

impl Asked {
    pub(crate) fn has(self, variable: Variable) -> bool {
        self.0 & (1 << variable as u32) != 0
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The variables of a condition; the error is a name that means nothing.
    pub(super) fn of(condition: &IdedExpr) -> Result<Self, String> {
        let mut names = Names { free: Vec::new(), bound: Vec::new() };
        names.see(condition);
        names.free.into_iter().try_fold(Self::default(), |asked, name| match Variable::named(name) {
            Some(variable) => Ok(Self(asked.0 | 1 << variable as u32)),
            None => Err(name.to_owned()),
        })
    }
}

/// Names that a condition uses: those from outside, and those that its own `exists`, `all` and the like stand for at
/// the place that is being looked at. The language's own list of references does not tell them apart.
struct Names<'e> {
    free: Vec<&'e str>,
    bound: Vec<&'e str>,
}

impl<'e> Names<'e> {
    fn see(&mut self, expression: &'e IdedExpr) {
        match &expression.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => {
                if !name.starts_with('@') && !self.bound.contains(&name.as_str()) {
                    self.free.push(name);
                }
            }
            Expr::Call(call) => {
                call.target.iter().for_each(|target| self.see(target));
                call.args.iter().for_each(|argument| self.see(argument));
            }
            Expr::Select(select) => self.see(&select.operand),
            Expr::List(list) => list.elements.iter().for_each(|element| self.see(element)),
            Expr::Map(map) => self.see_entries(&map.entries),
            Expr::Struct(object) => self.see_entries(&object.entries),
            Expr::Comprehension(loops) => {
                self.see(&loops.iter_range);
                self.see(&loops.accu_init);
                let outside = self.bound.len();
                self.bound.extend([loops.iter_var.as_str(), &loops.accu_var]);
                self.bound.extend(loops.iter_var2.as_deref());
                for within in [&loops.loop_cond, &loops.loop_step, &loops.result] {
                    self.see(within);
                }
                self.bound.truncate(outside);
            }
        }
    }

    fn see_entries(&mut self, entries: &'e [IdedEntryExpr]) {
        for entry in entries {
            match &entry.expr {
                EntryExpr::StructField(field) => self.see(&field.value),
                EntryExpr::MapEntry(entry) => {
                    self.see(&entry.key);
                    self.see(&entry.value);
                }
            }
        }
    }
}

/// The functions of CEL, made once.
static LANGUAGE: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

impl Facts<'_> {
    /// What conditions are evaluated in.
    pub(super) fn scope(&self, asked: Asked) -> Context<'static, 'static> {
        let mut scope = Context::with_env(Arc::clone(&LANGUAGE));
        for (name, variable) in Variable::ALL.into_iter().filter(|(_, variable)| asked.has(*variable)) {
            scope.add_variable_from_value(name, self.value(variable));
        }
        scope
    }

    /// What these variables are, as JSON, for people who wonder.
    pub(crate) fn told(&self, asked: Asked) -> serde_json::Map<String, serde_json::Value> {
        let told = Variable::ALL.into_iter().filter(|(_, variable)| asked.has(*variable));
        told.map(|(name, variable)| (name.to_owned(), json(&self.value(variable)))).collect()
    }

    fn value(&self, variable: Variable) -> Value {
        let count = |count: usize| Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
        match variable {
            Variable::Context => {
                let value = |value: &ContextValue<'_>| match value {
                    ContextValue::Text(text) => Value::from(*text),
                    ContextValue::Number(number) => Value::Float(*number),
                    ContextValue::Bool(flag) => Value::Bool(*flag),
                };
                let given = self.context.iter().map(|(name, given)| ((*name).to_owned(), value(given)));
                given.collect::<HashMap<String, Value>>().into()
            }
            Variable::Metadata => {
                let given = self.metadata.iter().map(|(key, value)| (key.to_string(), Value::from(value.as_ref())));
                given.collect::<HashMap<String, Value>>().into()
            }
            Variable::Tenant => self.tenant.into(),
            Variable::Session => self.session.into(),
            Variable::Region => self.region.into(),
            Variable::Model => self.model.into(),
            Variable::Tools => count(self.tools),
            Variable::Images => count(self.images),
            Variable::Json => Value::Bool(self.json),
            Variable::Turns => count(self.turns.len()),
            Variable::Chars => count(self.chars()),
            Variable::Tokens => count(self.tokens()),
            Variable::Tags => self.tags.iter().map(|tag| Value::from(tag.as_str())).collect::<Vec<_>>().into(),
            Variable::Device => device(self.user_agent).into(),
            Variable::Locale => Value::from(locale(self.accept_language)),
            Variable::Hour => Value::Int(hour(self.at_us)),
            Variable::Weekday => Value::Int(weekday(self.at_us)),
        }
    }

    /// Characters of all turns.
    fn chars(&self) -> usize {
        self.turns.iter().map(|turn| turn.text.chars().count()).sum()
    }

    /// Tokens of all turns, by the model that the router expects to count most of them; rounded up.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 0, and a guess in any case")]
    fn tokens(&self) -> usize {
        let chars = self.chars() as f64;
        let tokens = self.costs.iter().map(|head| head.base_tokens + head.tokens_per_char * chars);
        tokens.fold(0.0, f64::max).ceil() as usize
    }
}

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Int(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Bool(flag) => (*flag).into(),
        Value::String(text) => text.as_str().into(),
        Value::List(list) => list.iter().map(json).collect(),
        Value::Map(map) => map.map.iter().map(|(key, value)| (key.to_string(), json(value))).collect(),
        // No variable is any other.
        _ => serde_json::Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use cel::Program;

    use super::*;

    fn asked(condition: &str) -> Result<Asked, String> {
        Asked::of(Program::compile(condition).expect(condition).expression())
    }

    #[test]
    fn names_of_a_conditions_own_are_told_from_those_it_asks_for() {
        let tags = asked(r#"tags.exists(t, t == "beta" || t.startsWith("x"))"#).expect("`t` is the condition's own");
        assert!(tags.has(Variable::Tags) && !tags.has(Variable::Tools));
        let both = asked("tags.all(t, t != tenant) && {\"a\": hour}.a in [weekday, 1]").expect("all are known");
        for variable in [Variable::Tags, Variable::Tenant, Variable::Hour, Variable::Weekday] {
            assert!(both.has(variable), "{variable:?}");
        }
        assert_eq!(asked("tags.exists(t, t == u)"), Err("u".into()));
        assert_eq!(asked("tags.exists(t, true) && t == 1"), Err("t".into()), "outside it is nobody's");
    }

    #[test]
    fn the_names_of_errors_are_the_variables() {
        let names: Vec<&str> = Variable::ALL.iter().map(|(name, _)| *name).collect();
        assert_eq!(NAMES, format!("{} or {}", names[..16].join(", "), names[16]));
    }
}
