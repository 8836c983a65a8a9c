//! Whom this server notifies of what happens, if anybody; and `windrose notify`, which tries whether it arrives.

use std::path::Path;

use serde_json::json;
use tracing::error;

use crate::app::print::print_line;
use crate::app::process::{block_on, host_name};
use crate::app::watch::Told;
use crate::app::{Failure, site};
use crate::load::Site;
use crate::model::Moment;
use crate::notify::{Config, Format, Notice, Notifier, Pace, Progress, try_once};
use crate::spec::machine::{EventKind, Notify, NotifyFormat};
use crate::telemetry::Clock;

/// The one who is notified, and of what.
pub(super) struct Notifying {
    notifier: Notifier,
    wanted: Notify,
}

impl Notifying {
    /// `None`: nobody is to be told, or can be. DNS is answered all the same.
    pub(super) fn start(site: &Site, name: &str, instance: u64, clock: Clock) -> Option<Self> {
        let wanted = site.machine.notify.clone()?;
        match Notifier::start(config(&wanted, site, name, instance), clock) {
            Ok(notifier) => Some(Self { notifier, wanted }),
            Err(why) => {
                error!("nobody is notified: {why}");
                None
            }
        }
    }

    /// Tells it, if that is wanted. Never waits.
    pub(super) fn tell(&self, told: &Told) {
        if self.wanted.wants(told.kind) {
            self.notifier.tell(notice(told));
        }
    }

    pub(super) fn progress(&self) -> Progress {
        self.notifier.progress()
    }

    /// Tries to tell what waits, but not for long.
    pub(super) async fn finish(self) {
        self.notifier.finish().await;
    }
}

/// Posts one event of no meaning.
pub(super) fn run(config_file: Option<&Path>) -> Result<(), Failure> {
    let site = site(config_file)?;
    let Some(wanted) = &site.machine.notify else {
        let why = format!("{}: nobody is notified: there is no [notify]", site.config.display());
        return Err(Failure::Failed(why));
    };
    let name = site.machine.machine.name.clone().unwrap_or_else(host_name);
    let told = Told::new(
        EventKind::Test,
        Clock::start().now(),
        "a test: notifications of this server arrive",
        json!({}),
    );
    let config = config(wanted, &site, &name, std::process::id().into());
    block_on(async {
        let reply = try_once(&config, notice(&told)).await;
        let reply = reply.map_err(|why| Failure::Failed(format!("the notification was not taken: {why}")))?;
        print_line(format_args!("taken: {reply}"))?;
        Ok(())
    })
}

fn notice(told: &Told) -> Notice {
    let happened = &told.happened;
    Notice {
        at: Moment(happened.at),
        text: happened.text.clone(),
        event: json!(happened),
        alarm: told.kind.is_alarm(),
    }
}

fn config(wanted: &Notify, site: &Site, name: &str, instance: u64) -> Config {
    Config {
        url: wanted.url.clone(),
        token_file: wanted.token_file.as_ref().map(|file| site.beside(file)),
        format: match wanted.format {
            NotifyFormat::Json => Format::Json,
            NotifyFormat::Text => Format::Text,
        },
        server: name.into(),
        instance,
        pace: Pace::default(),
    }
}
