//! `pointsman serve`: decisions over HTTP until a signal.

mod logging;
mod signals;

use std::path::PathBuf;

use clap::ValueEnum;
use pointsman::Objective;
use pointsman_server::{Config, ConfigFile, Listening, Server, Settings};
use serde_json::json;
use tokio::sync::oneshot;

use crate::args::{LogForm, Serve};
use crate::failure::unusable;
use crate::terminal::print;
use signals::{Asked, Signals};

pub(crate) fn run(args: &Serve) -> anyhow::Result<()> {
    let flags = Flags::new(args)?;
    logging::start(flags.log, flags.config()?.log);
    let server = match flags.file.clone() {
        Some(file) => Server::open(ConfigFile::new(file, move |config| flags.settings(config)))?,
        None => Server::open(move || flags.settings(Config::default()))?,
    };
    tokio::runtime::Runtime::new()?.block_on(async {
        let signals = Signals::new()?;
        let listening = server.bind().await?;
        let admin = listening.admin_address().map(|address| address.to_string());
        print(json!({ "listen": listening.address().to_string(), "admin_listen": admin }));
        serve(listening, signals).await;
        Ok(())
    })
}

/// What the command line says, or else the environment; it goes before the file, at the start and at every reload.
struct Flags {
    file: Option<PathBuf>,
    router: Option<PathBuf>,
    listen: Option<String>,
    admin_listen: Option<String>,
    objective: Option<Objective>,
    log: Option<LogForm>,
}

impl Flags {
    fn new(args: &Serve) -> anyhow::Result<Self> {
        let log = environment("LOG").map(|form| {
            LogForm::from_str(&form, false)
                .map_err(|_| unusable(format!("POINTSMAN_LOG: expected human or json, got `{form}`")))
        });
        let objective = args.objective.clone().or_else(|| environment("OBJECTIVE"));
        Ok(Self {
            file: args.config.clone().or_else(|| environment("CONFIG").map(Into::into)),
            router: args.router.clone().or_else(|| environment("ROUTER").map(Into::into)),
            listen: args.listen.clone().or_else(|| environment("LISTEN")),
            admin_listen: args.admin_listen.clone().or_else(|| environment("ADMIN_LISTEN")),
            objective: objective.as_deref().map(str::parse).transpose()?,
            log: args.log.or(log.transpose()?),
        })
    }

    fn config(&self) -> Result<Config, pointsman_server::Error> {
        self.file.as_deref().map_or_else(|| Ok(Config::default()), Config::read)
    }

    fn settings(&self, mut config: Config) -> Result<Settings, pointsman_server::Error> {
        config.router.path = self.router.clone().or(config.router.path);
        config.server.listen = self.listen.clone().or(config.server.listen);
        config.server.admin_listen = self.admin_listen.clone().or(config.server.admin_listen);
        let mut settings = config.into_settings()?;
        if let Some(objective) = &self.objective {
            settings.objective = objective.clone();
        }
        Ok(settings)
    }
}

/// The value of one of our variables; one that is empty, as of a file for containers that leaves it out, says nothing.
fn environment(name: &str) -> Option<String> {
    std::env::var(format!("POINTSMAN_{name}")).ok().filter(|value| !value.is_empty())
}

/// Serves until the first signal to end, drains until the second; reloads when asked to.
async fn serve(listening: Listening, mut signals: Signals) {
    let reloader = listening.reloader();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = listening.serve(async {
        let _ = stopped.await;
    });
    let told = async {
        let mut stop = Some(stop);
        loop {
            match signals.next().await {
                // How it ends is logged and counted where it happens.
                Asked::ToReload => drop(tokio::spawn({
                    let reloader = reloader.clone();
                    async move { reloader.reload().await }
                })),
                Asked::ToEnd => match stop.take() {
                    Some(stop) => drop(stop.send(())),
                    None => return,
                },
            }
        }
    };
    tokio::select! {
        _ = serving => {}
        () = told => logging::cut_by_second_signal(),
    }
}
