//! The task that posts: one request at a time, again and again until it is taken or too old.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::body::Sender;
use super::post::{Outcome, Post};
use super::waiting::Batch;
use super::{Config, Pace, Shared};
use crate::telemetry::Clock;

/// At work until the server stops.
#[derive(Debug)]
pub(super) struct Delivery {
    post: Post,
    sender: Sender,
    pace: Pace,
    clock: Clock,
    shared: Arc<Shared>,
    stopping: watch::Receiver<bool>,
    /// When it was last logged that a request was not taken; `None`: the last one was.
    warned: Option<Instant>,
}

impl Delivery {
    pub fn new(
        config: Config,
        clock: Clock,
        shared: Arc<Shared>,
        stopping: watch::Receiver<bool>,
    ) -> Result<Self, String> {
        let (post, sender) = (Post::new(&config)?, Sender::new(&config));
        Ok(Self { post, sender, pace: config.pace, clock, shared, stopping, warned: None })
    }

    pub async fn run(mut self) {
        loop {
            let last = self.gather().await;
            if let Some(batch) = self.take() {
                self.deliver(&batch).await;
            }
            if last {
                return;
            }
        }
    }

    /// Waits for something to tell, and then a little for what comes with it. `true`: the server stops.
    async fn gather(&mut self) -> bool {
        let happens = async {
            self.shared.news.notified().await;
            sleep(self.pace.gather).await;
        };
        tokio::select! {
            () = happens => false,
            () = stop(&mut self.stopping) => true,
        }
    }

    fn take(&self) -> Option<Batch> {
        let mut held = self.shared.hold();
        let batch = held.waiting.take()?;
        held.posting = batch.notices.len();
        Some(batch)
    }

    async fn deliver(&mut self, batch: &Batch) {
        let body = self.sender.body(batch);
        let started = Instant::now();
        let mut attempts = 0;
        loop {
            let stopping = *self.stopping.borrow();
            match self.post.send(body.clone()).await {
                Outcome::Taken { .. } => return self.taken(batch),
                Outcome::Refused { why } => return self.dropped(batch, why),
                Outcome::Again { why, after } => {
                    let pause = pause(attempts, after, &self.pace);
                    if stopping || started.elapsed() + pause > self.pace.give_up {
                        return self.dropped(batch, why);
                    }
                    self.failed(why);
                    attempts += 1;
                    tokio::select! {
                        () = sleep(pause) => {}
                        // The last attempt, at once.
                        () = stop(&mut self.stopping) => {}
                    }
                }
            }
        }
    }

    fn taken(&mut self, batch: &Batch) {
        let mut held = self.shared.hold();
        held.posting = 0;
        held.sent += batch.notices.len() as u64;
        held.last_taken = Some(self.clock.now());
        drop(held);
        if self.warned.take().is_some() {
            info!("notifications are taken again");
        }
    }

    fn dropped(&mut self, batch: &Batch, why: String) {
        let lost = batch.notices.len();
        let mut held = self.shared.hold();
        held.posting = 0;
        held.dropped += lost as u64;
        held.waiting.lose(batch);
        drop(held);
        self.failed(format!("{why}; {lost} events are dropped"));
    }

    fn failed(&mut self, why: String) {
        if self.warned.is_none_or(|warned| warned.elapsed() >= WARN_AGAIN) {
            warn!("notifications are not taken: {why}");
            self.warned = Some(Instant::now());
        }
        self.shared.hold().last_failure = Some((self.clock.now(), why));
    }
}

/// Waits until the server stops, or nobody is left who could say so or have something to tell.
async fn stop(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// How long to wait before a request is posted again.
fn pause(attempts: u32, asked: Option<Duration>, pace: &Pace) -> Duration {
    let grown = pace.pause.saturating_mul(2_u32.saturating_pow(attempts));
    asked.unwrap_or(grown).clamp(pace.pause, pace.pause_max)
}

/// A receiver that takes nothing is logged this often.
const WARN_AGAIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_what_is_asked_for_has_bounds() {
        let pace = Pace::default();
        let grown: Vec<u64> = (0..9).map(|attempts| pause(attempts, None, &pace).as_secs()).collect();
        assert_eq!(grown, [1, 2, 4, 8, 16, 32, 64, 120, 120]);
        assert_eq!(pause(u32::MAX, None, &pace), pace.pause_max);
        let asked = |seconds: u64| pause(3, Some(Duration::from_secs(seconds)), &pace).as_secs();
        assert_eq!((asked(0), asked(17), asked(u64::MAX)), (1, 17, 120));
    }
}
