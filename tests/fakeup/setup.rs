//! Several fakes and their panel, as a script file has them.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::control::Panel;
use super::fake::Fake;
use super::record::REMEMBERED;
use super::script::Script;

/// What to start.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// Address of the panel. Default: any free port of the loopback.
    #[serde(default = "any_port")]
    pub panel: String,
    /// The fakes.
    pub listeners: Vec<Listener>,
}

/// One fake.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Unique; in answers and in the panel's paths.
    pub name: String,
    /// Its address. Default: any free port of the loopback.
    #[serde(default = "any_port")]
    pub listen: String,
    /// Requests that it remembers. Default: [`REMEMBERED`].
    #[serde(default = "remembered")]
    pub remembered: usize,
    /// What it does. Default: it answers.
    #[serde(default)]
    pub script: Script,
}

/// Where everything is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The panel.
    pub panel: SocketAddr,
    /// The fakes by name.
    pub listeners: BTreeMap<String, SocketAddr>,
}

impl Listener {
    /// One of this name and script, which remembers nothing, on any free port.
    pub fn new(name: impl Into<String>, script: Script) -> Self {
        Self { name: name.into(), listen: any_port(), remembered: 0, script }
    }
}

impl Setup {
    /// These fakes, and a panel on any free port.
    pub fn new(listeners: Vec<Listener>) -> Self {
        Self { panel: any_port(), listeners }
    }

    /// Starts everything; it lives as long as its runtime.
    ///
    /// # Errors
    /// Where a name is there twice, or an address cannot be listened on.
    pub async fn start(self) -> Result<Started> {
        let mut fakes: Vec<Fake> = Vec::new();
        for Listener { name, listen, remembered, script } in self.listeners {
            if fakes.iter().any(|fake| fake.name() == name) {
                return Err(Error::new(ErrorKind::InvalidInput, format!("listeners: `{name}` is there twice")));
            }
            fakes.push(Fake::listen(name, script, &listen, remembered).await?);
        }
        let listeners = fakes.iter().map(|fake| (fake.name().to_owned(), fake.address())).collect();
        Ok(Started { panel: Panel::listen(fakes, &self.panel).await?.address(), listeners })
    }
}

fn any_port() -> String {
    "127.0.0.1:0".into()
}

fn remembered() -> usize {
    REMEMBERED
}
