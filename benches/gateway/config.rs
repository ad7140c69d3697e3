//! Configurations of the gateway, as its file has them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A configuration; what is not said is the server's default.
#[derive(Clone, Debug, Default)]
pub(crate) struct Configuration {
    /// The artifact's file.
    pub(crate) router: PathBuf,
    /// Name, model and address of every target.
    pub(crate) targets: Vec<(String, String, SocketAddr)>,
    /// Milliseconds to the first content, between two pieces, and to the end; the server's own where there are none.
    pub(crate) timeouts_ms: Option<[u64; 3]>,
    /// The ledger's file; without one there is no state.
    pub(crate) state: Option<PathBuf>,
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) max_in_flight: Option<usize>,
}

/// One tenant.
#[derive(Clone, Debug)]
pub(crate) struct Tenant {
    pub(crate) name: String,
    pub(crate) key: String,
    pub(crate) requests_per_minute: Option<u32>,
    pub(crate) budget_usd_per_day: Option<f64>,
}

impl Configuration {
    /// Writes it where a reload finds it whole: beside, and moved into place.
    pub(crate) fn write(&self, path: &Path) {
        let beside = path.with_extension("new");
        std::fs::write(&beside, self.text()).expect("the folder is writable");
        std::fs::rename(&beside, path).expect("the folder is writable");
    }

    fn text(&self) -> String {
        let mut text = String::from("[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n");
        let mut line = |line: String| {
            text.push_str(&line);
            text.push('\n');
        };
        if let Some(most) = self.max_in_flight {
            line(format!("max_in_flight = {most}"));
        }
        line(format!("[router]\npath = {:?}", self.router.display().to_string()));
        let state = self.state.as_ref().map_or_else(|| "off".to_owned(), |path| path.display().to_string());
        line(format!("[state]\npath = {state:?}"));
        for (name, model, address) in &self.targets {
            // A price, so that answers cost something.
            line(format!(
                "[[targets]]\nname = {name:?}\nmodel = {model:?}\nbase_url = \"http://{address}/v1\"\n\
                 price = {{ input_usd_per_mtok = 1.0, output_usd_per_mtok = 2.0 }}"
            ));
            if let Some([first, idle, total]) = self.timeouts_ms {
                line(format!(
                    "timeouts = {{ connect_ms = 1000, first_token_ms = {first}, idle_ms = {idle}, total_ms = {total} }}"
                ));
            }
        }
        for tenant in &self.tenants {
            let digest = pointsman::artifact::identity(tenant.key.as_bytes());
            line(format!("[[tenants]]\nname = {:?}\nkey_sha256 = [{digest:?}]", tenant.name));
            if let Some(limit) = tenant.requests_per_minute {
                line(format!("requests_per_minute = {limit}"));
            }
            if let Some(usd) = tenant.budget_usd_per_day {
                line(format!("budget_usd_per_day = {usd:?}"));
            }
        }
        text
    }
}
