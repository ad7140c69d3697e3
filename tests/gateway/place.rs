//! A server in this process, and its targets.

use std::net::SocketAddr;
use std::time::Duration;

use pointsman_server::{Error, Server, Settings, TargetSettings, Timeouts};
use pointsman_tests::fakeup::Fake;
use pointsman_tests::fixture::ARTIFACT;
use tempfile::TempDir;

/// A model of the committed artifact.
pub(crate) const MODEL: &str = "birch-code";

/// Long enough for a busy machine, short enough to wait for.
const PATIENCE: Duration = Duration::from_millis(800);

/// A server that runs until its runtime ends.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    _folder: TempDir,
}

impl Gateway {
    /// One with these targets.
    pub(crate) async fn start(targets: Vec<TargetSettings>) -> Self {
        Self::with(Settings { targets, ..Settings::new("") }).await
    }

    /// One with these settings, but for addresses and artifact.
    pub(crate) async fn with(settings: Settings) -> Self {
        Self::open(settings).await.expect("valid settings")
    }

    /// The same, where the settings may not be valid here.
    pub(crate) async fn open(settings: Settings) -> Result<Self, Error> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let router = folder.path().join("router.safetensors");
        std::fs::write(&router, ARTIFACT).expect("the folder is writable");
        let any = "127.0.0.1:0".to_owned();
        let settings = Settings { router, listen: any.clone(), admin_listen: Some(any), ..settings };
        let server = Server::open(move || Ok(settings.clone()))?;
        let listening = server.bind().await.expect("a free port");
        let (address, admin) = (listening.address(), listening.admin_address().expect("an admin plane"));
        tokio::spawn(listening.serve(std::future::pending()));
        Ok(Self { address, admin, _folder: folder })
    }
}

/// A fake's place in the configuration, under its own name.
pub(crate) fn target(fake: &Fake) -> TargetSettings {
    TargetSettings {
        api_key: Some(format!("key-of-{}", fake.name())),
        timeouts: Timeouts { first_token: PATIENCE, idle: PATIENCE, total: 2 * PATIENCE, ..Timeouts::default() },
        ..TargetSettings::new(fake.name(), MODEL, fake.base_url())
    }
}

/// A runtime for a test.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("a runtime")
}
