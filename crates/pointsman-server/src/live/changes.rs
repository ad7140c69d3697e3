//! How what runs is replaced: by a reload, by a configuration that the admin plane is given, or by another artifact. One
//! change at a time; each is whole or is not.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::shelf::{Shelf, of_file};
use super::texts::{Changes, Origin, tag};
use super::{Current, LastReload, Live, Parts, collector, load, waits_for_a_start};
use crate::error::Error;
use crate::settings::{Limits, Settings};
use crate::state::now_us;

/// What a new configuration came to.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) current: Arc<Current>,
    /// The `ETag` of its text.
    pub(crate) etag: String,
    pub(crate) changes: Changes,
}

/// Says whether a text, by its `ETag`, is the one that is to be replaced.
pub(crate) type Matches = Box<dyn Fn(&str) -> bool + Send>;

impl Live {
    /// Reads settings and artifact again and takes them into use as one; where that cannot be, what runs keeps
    /// running. The work is done away from the threads that answer requests.
    ///
    /// # Errors
    /// Whatever would have ended a start.
    pub(crate) async fn reload(self: &Arc<Self>) -> Result<Arc<Current>, Error> {
        let reloaded = self.change(|live, before, version| {
            let (settings, text) = live.source.read()?;
            let mut current = live.read(settings, version, before)?;
            if let Some(text) = text {
                current.texts = before.texts.with(text, version, Origin::Reload, now_us());
            }
            Ok((current, ()))
        });
        match reloaded.await {
            Ok((current, ())) => {
                self.applied(&current);
                Ok(current)
            }
            Err(error) => {
                let reason = error.chain();
                tracing::error!(reason, "reload refused; what ran before keeps running");
                self.metrics.reload("refused");
                self.last_reload.store(Arc::new(LastReload::Refused(reason)));
                Err(error)
            }
        }
    }

    /// What this text would change, were it the configuration's; nothing is changed.
    ///
    /// # Errors
    /// [`Error::NoConfigFile`]; [`Error::ConfigRefused`] where a reload would be refused.
    pub(crate) async fn try_config(self: &Arc<Self>, text: String) -> Result<(String, Changes), Error> {
        let tried = self.work(move |live, before, version| {
            let current = live.configured(&text, before, version)?;
            Ok((current.snapshot.version().to_owned(), before.texts.changes(&text, live.source.file()?.form())))
        });
        tried.await
    }

    /// Puts this text in the place of the configuration's and takes it into use, as one.
    ///
    /// # Errors
    /// [`Error::NoConfigFile`]; [`Error::PreconditionFailed`] unless `matches` says that the file still holds what is to
    /// be replaced; [`Error::ConfigRefused`] where a reload would be refused; [`Error::ConfigRead`] and
    /// [`Error::ConfigWrite`]. Nothing is changed then, on file or in memory.
    pub(crate) async fn configure(self: &Arc<Self>, text: String, matches: Matches) -> Result<Taken, Error> {
        self.replace(matches, Origin::Put, move |_| Ok(text)).await
    }

    /// Goes back to the text before the one in use.
    ///
    /// # Errors
    /// As [`Self::configure`], and [`Error::NothingBefore`].
    pub(crate) async fn unconfigure(self: &Arc<Self>, matches: Matches) -> Result<Taken, Error> {
        let before = |before: &Current| {
            let text = before.texts.before().map(|text| text.content.clone());
            text.ok_or(Error::NothingBefore { what: "configuration" })
        };
        self.replace(matches, Origin::Rollback, before).await
    }

    async fn replace(
        self: &Arc<Self>,
        matches: Matches,
        from: Origin,
        text: impl FnOnce(&Current) -> Result<String, Error> + Send + 'static,
    ) -> Result<Taken, Error> {
        let replaced = self.change(move |live, before, version| {
            let file = live.source.file()?;
            let present = tag(&file.read()?);
            if !matches(&present) {
                return Err(Error::PreconditionFailed { etag: present });
            }
            let text = text(before)?;
            let mut current = live.configured(&text, before, version)?;
            file.replace(&text)?;
            let (etag, changes) = (tag(&text), before.texts.changes(&text, file.form()));
            current.texts = before.texts.with(text, version, from, now_us());
            Ok((current, (etag, changes)))
        });
        let (current, (etag, changes)) = replaced.await?;
        self.applied(&current);
        Ok(Taken { current, etag, changes })
    }

    /// What would run with this text in the file.
    fn configured(&self, text: &str, before: &Current, version: u64) -> Result<Current, Error> {
        let configured = self.source.file()?.settings(text).and_then(|settings| self.read(settings, version, before));
        configured.map_err(|error| Error::ConfigRefused(Box::new(error)))
    }

    /// What would run with these settings; a pinned artifact goes on deciding, and the file's is not looked at.
    fn read(&self, settings: Settings, config_version: u64, before: &Current) -> Result<Current, Error> {
        Limits::new(&settings)?;
        collector(&settings)?;
        let shelf =
            if before.shelf.is_pinned() { before.shelf.clone() } else { before.shelf.with(of_file(&settings)?) };
        let texts = before.texts.clone();
        let current = load(Parts { settings, shelf, texts, config_version }, Some(before), &BTreeMap::new())?;
        // The address waits for a start, the keys do not: the last one of an open plane stays.
        let listening = self.started_with.admin_listen.as_deref();
        listening.map_or(Ok(()), |address| current.admins.may_listen(address))?;
        Ok(current)
    }

    /// Lets an artifact that decides or did so decide, from now on and through reloads.
    ///
    /// # Errors
    /// [`Error::NoRouterVersion`]; otherwise where the settings in use cannot be used with it.
    pub(crate) async fn pin(self: &Arc<Self>, version: String) -> Result<Arc<Current>, Error> {
        self.choose(move |before| {
            let shelf = before.shelf.pinned_to(&version);
            shelf.ok_or_else(|| Error::NoRouterVersion { version: version.chars().take(80).collect() })
        })
        .await
    }

    /// Pins the artifact that came before the one that decides.
    ///
    /// # Errors
    /// [`Error::NothingBefore`]; otherwise where the settings in use cannot be used with it.
    pub(crate) async fn unpromote(self: &Arc<Self>) -> Result<Arc<Current>, Error> {
        self.choose(|before| before.shelf.rolled_back().ok_or(Error::NothingBefore { what: "artifact" })).await
    }

    /// Lets the file's artifact decide again.
    ///
    /// # Errors
    /// Where it cannot be used with the settings in use.
    pub(crate) async fn unpin(self: &Arc<Self>) -> Result<Arc<Current>, Error> {
        self.choose(|before| Ok(before.shelf.with(of_file(&before.settings)?))).await
    }

    /// Lets another artifact decide under the settings in use: a configuration file that is bad by now, or reads
    /// otherwise, has no say in it.
    async fn choose(
        self: &Arc<Self>,
        shelf: impl FnOnce(&Current) -> Result<Shelf, Error> + Send + 'static,
    ) -> Result<Arc<Current>, Error> {
        let chosen = self.change(|_, before, config_version| {
            let (settings, texts) = (before.settings.clone(), before.texts.clone());
            let parts = Parts { settings, shelf: shelf(before)?, texts, config_version };
            Ok((load(parts, Some(before), &BTreeMap::new())?, ()))
        });
        let (current, ()) = chosen.await?;
        let (version, pinned) = (current.snapshot.version(), current.shelf.is_pinned());
        tracing::info!(router_version = version, pinned, "the artifact that decides was chosen");
        Ok(current)
    }

    fn applied(&self, current: &Current) {
        if waits_for_a_start(&self.started_with, &current.settings) {
            tracing::warn!(
                "changes under [server], [sessions], [state] and [traces] wait for the next start; router, objective and targets are in use"
            );
        }
        self.last_reload.store(Arc::new(LastReload::Applied));
        self.metrics.reload("applied");
        tracing::info!(
            router_version = current.snapshot.version(),
            config_version = current.snapshot.config_version(),
            "reloaded"
        );
    }

    /// Takes what `make` gives into use, unless it gives an error. It is told what runs and the next version.
    async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        make: impl FnOnce(&Self, &Current, u64) -> Result<(Current, T), Error> + Send + 'static,
    ) -> Result<(Arc<Current>, T), Error> {
        let changed = self.work(|live, before, version| {
            let (current, rest) = make(live, before, version)?;
            let current = Arc::new(current);
            live.current.store(Arc::clone(&current));
            live.metrics.router(current.snapshot.version());
            Ok((current, rest))
        });
        changed.await
    }

    /// Works away from the threads that answer requests, one at a time, and to the end even where whoever asked for it
    /// has left.
    async fn work<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self, &Current, u64) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let live = Arc::clone(self);
        let working = tokio::spawn(async move {
            let _turn = live.turn.lock().await;
            let live = Arc::clone(&live);
            let working = tokio::task::spawn_blocking(move || {
                let before = live.current();
                work(&live, &before, before.snapshot.config_version() + 1)
            });
            working.await.unwrap_or(Err(Error::ReloadLost))
        });
        working.await.unwrap_or(Err(Error::ReloadLost))
    }
}
