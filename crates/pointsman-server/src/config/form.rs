//! The two forms of a configuration's text, and the tree that both are read to.

use std::path::Path;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, Deserializer};

use super::yaml;

/// How a configuration is written; its file's name says which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// TOML, unless the name says otherwise.
    Toml,
    /// YAML of the same shape.
    Yaml,
}

/// What keeps a text from being a configuration.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Flaw {
    /// Where, in bytes.
    pub(super) offset: usize,
    pub(super) message: String,
}

impl Form {
    /// The form of a file.
    pub(crate) fn of(path: &Path) -> Self {
        let extension = path.extension().unwrap_or_default();
        if ["yaml", "yml"].iter().any(|yaml| extension.eq_ignore_ascii_case(yaml)) { Self::Yaml } else { Self::Toml }
    }

    /// Its media type.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Toml => "application/toml",
            Self::Yaml => "application/yaml",
        }
    }

    /// The form that a media type names, whatever its parameters; `None` where it names neither.
    pub(crate) fn named(media_type: &str) -> Option<Self> {
        let name = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match name.as_str() {
            "application/toml" | "text/toml" | "text/x-toml" | "application/x-toml" => Some(Self::Toml),
            "application/yaml" | "text/yaml" | "text/x-yaml" | "application/x-yaml" => Some(Self::Yaml),
            _ => None,
        }
    }

    /// The end of such a file's name.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Toml => ".toml",
            Self::Yaml => ".yaml",
        }
    }

    /// The tree of a text, each key and value with where it stands.
    pub(super) fn tree(self, text: &str) -> Result<Spanned<DeTable<'_>>, Flaw> {
        match self {
            Self::Toml => DeTable::parse(text).map_err(Flaw::from),
            Self::Yaml => yaml::tree(text),
        }
    }

    /// The values of a text; none where it is not of this form.
    pub(crate) fn values(self, text: &str) -> toml::Table {
        let tree = self.tree(text).map(Deserializer::from);
        tree.ok().and_then(|tree| toml::Table::deserialize(tree).ok()).unwrap_or_default()
    }
}

impl From<toml::de::Error> for Flaw {
    fn from(error: toml::de::Error) -> Self {
        Self { offset: error.span().map_or(0, |span| span.start), message: error.message().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_the_form() {
        for (name, form) in [
            ("pointsman.toml", Form::Toml),
            ("pointsman.yaml", Form::Yaml),
            ("/etc/pointsman/P.YML", Form::Yaml),
            ("pointsman.conf", Form::Toml),
            ("yaml", Form::Toml),
        ] {
            assert_eq!(Form::of(Path::new(name)), form, "{name}");
        }
    }

    #[test]
    fn a_media_type_says_the_form() {
        for (name, form) in [
            ("application/toml", Some(Form::Toml)),
            ("Application/YAML; charset=utf-8", Some(Form::Yaml)),
            ("text/x-yaml", Some(Form::Yaml)),
            ("application/x-www-form-urlencoded", None),
            ("", None),
        ] {
            assert_eq!(Form::named(name), form, "{name}");
        }
    }
}
