//! A gateway with its upstreams, each as a process.

use std::path::{Path, PathBuf};

use pointsman_benches::artifact;
use pointsman_tests::fakeup::Script;
use pointsman_tests::fakeup::setup::{Listener, Setup};

use crate::config::Configuration;
use crate::process::{Gateway, Served};

/// Models of the router, each with a target.
const MODELS: usize = 11;

/// One gateway and one upstream for all of its models.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) at: Gateway,
    pub(crate) upstream: std::net::SocketAddr,
    pub(crate) process: Served,
    config: PathBuf,
    _fakes: Served,
}

impl Site {
    /// Starts everything; `change` makes more of the configuration than a router and its targets.
    pub(crate) fn start(folder: &Path, script: Script, change: impl FnOnce(&mut Configuration)) -> Self {
        let (fakes, started) = Served::fakes(folder, &Setup::new(vec![Listener::new("fake", script)]));
        let upstream = started.listeners["fake"];
        let artifact = artifact(MODELS, 7);
        let router = folder.join("router.safetensors");
        std::fs::write(&router, artifact.to_bytes().expect("a valid artifact")).expect("the folder is writable");
        let models = artifact.document.models.into_iter();
        let mut configuration = Configuration {
            router,
            targets: models.map(|model| (format!("at-{model}"), model, upstream)).collect(),
            ..Configuration::default()
        };
        change(&mut configuration);
        let config = folder.join("gateway.toml");
        configuration.write(&config);
        let (process, at) = Served::gateway(&config);
        Self { at, upstream, process, config, _fakes: fakes }
    }

    /// Starts the gateway once more; what ran before is ended.
    pub(crate) fn restart(&mut self) {
        self.process.kill();
        (self.process, self.at) = Served::gateway(&self.config);
    }
}
