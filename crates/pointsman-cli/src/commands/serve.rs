//! `pointsman serve`: decisions over HTTP until a signal.

use pointsman::{Objective, Router};
use pointsman_server::{Listening, Server, Settings};
use serde_json::json;
use tokio::sync::oneshot;

use crate::args::Serve;
use crate::terminal::{print, say};

pub(crate) fn run(args: &Serve) -> anyhow::Result<()> {
    let router = Router::load(&args.router)?;
    let settings = Settings {
        listen: args.listen.clone(),
        objective: args.objective.as_deref().map(str::parse).transpose()?.unwrap_or(Objective::Default),
        ..Settings::default()
    };
    let server = Server::new(&router, settings)?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let mut signals = Signals::new()?;
        let listening = server.bind().await?;
        print(json!({ "listen": listening.address().to_string() }));
        serve(listening, &mut signals).await;
        Ok(())
    })
}

/// Serves until the first signal, drains until the second.
async fn serve(listening: Listening, signals: &mut Signals) {
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = listening.serve(async {
        let _ = stopped.await;
    });
    let two_signals = async {
        signals.next().await;
        let _ = stop.send(());
        signals.next().await;
    };
    tokio::select! {
        cut = serving => if cut > 0 {
            say(format_args!("{cut} connections were still open after the drain timeout and were cut"));
        },
        () = two_signals => say("a second signal: everything still open was cut"),
    }
}

/// The signals that ask for an end: SIGINT and SIGTERM.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The signal that asks for an end: Ctrl-C.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "the same signature as where it can go wrong")]
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
