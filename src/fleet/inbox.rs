//! What came in and was not taken yet: bounded, and when it is full the oldest makes room.
//!
//! Reports and digests are full state. For one who is late the newest matter, so nothing ever waits for
//! room here, and memory is bounded whatever the senders do.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Takes what came in, oldest first. When it is gone, nothing more is received.
#[derive(Debug)]
pub struct Inbox<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Inbox<T> {
    /// The next one. `None`: the fleet is gone, and nothing more will come. Can be cancelled without a loss.
    pub async fn recv(&mut self) -> Option<T> {
        loop {
            let more = self.shared.more.notified();
            {
                let mut queue = self.shared.queue();
                if let Some(taken) = queue.waiting.pop_front() {
                    queue.bytes -= taken.bytes;
                    return Some(taken.item);
                }
                if queue.ended {
                    return None;
                }
            }
            more.await;
        }
    }
}

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        queue.ended = true;
        queue.waiting.clear();
        drop(queue);
        self.shared.gone.notify_one();
    }
}

/// Puts into an inbox.
#[derive(Debug)]
pub(super) struct Feed<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Feed<T> {
    /// Puts one in that took so many bytes on its way, and says how many old ones made room for it.
    pub(super) fn put(&self, item: T, bytes: usize) -> usize {
        let mut queue = self.shared.queue();
        if queue.ended {
            return 0;
        }
        let mut pushed_out = 0;
        while !queue.waiting.is_empty()
            && (queue.waiting.len() >= WAITING_MAX || queue.bytes + bytes > WAITING_BYTES_MAX)
        {
            queue.bytes -= queue.waiting.pop_front().map_or(0, |oldest| oldest.bytes);
            pushed_out += 1;
        }
        queue.waiting.push_back(Waiting { item, bytes });
        queue.bytes += bytes;
        drop(queue);
        self.shared.more.notify_one();
        pushed_out
    }

    /// Waits until nobody takes any more.
    pub(super) async fn gone(&self) {
        self.shared.gone.notified().await;
    }
}

impl<T> Drop for Feed<T> {
    fn drop(&mut self) {
        self.shared.queue().ended = true;
        self.shared.more.notify_one();
    }
}

/// An inbox and what feeds it.
pub(super) fn inbox<T>() -> (Feed<T>, Inbox<T>) {
    let shared = Arc::new(Shared {
        queue: Mutex::new(Queue { waiting: VecDeque::new(), bytes: 0, ended: false }),
        more: Notify::new(),
        gone: Notify::new(),
    });
    (Feed { shared: shared.clone() }, Inbox { shared })
}

#[derive(Debug)]
struct Shared<T> {
    queue: Mutex<Queue<T>>,
    /// Something came in, or nothing more will.
    more: Notify,
    /// The inbox is gone.
    gone: Notify,
}

impl<T> Shared<T> {
    fn queue(&self) -> MutexGuard<'_, Queue<T>> {
        // No step in here can leave it half done.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Queue<T> {
    waiting: VecDeque<Waiting<T>>,
    /// Of all that wait, as they came.
    bytes: usize,
    /// One of the two sides is gone.
    ended: bool,
}

#[derive(Debug)]
struct Waiting<T> {
    item: T,
    bytes: usize,
}

/// More than this do not wait: the oldest is dropped. Five times the reports of the largest fleet.
const WAITING_MAX: usize = 1024;
/// More than this does not wait, as it came, unless it is one alone: the oldest is dropped. Two rounds of reports of
/// the largest fleet; when they are read they take up to ten times the memory.
const WAITING_BYTES_MAX: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_put_is_taken_in_order_and_then_the_end() {
        let (feed, mut inbox) = inbox();
        assert_eq!((feed.put('a', 1), feed.put('b', 1)), (0, 0));
        drop(feed);
        assert_eq!(inbox.recv().await, Some('a'));
        assert_eq!(inbox.recv().await, Some('b'));
        assert_eq!(inbox.recv().await, None);
    }

    #[tokio::test]
    async fn the_oldest_makes_room_for_the_newest() {
        let (feed, mut inbox) = inbox();
        let pushed_out: usize = (0..WAITING_MAX + 3).map(|number| feed.put(number, 1)).sum();
        assert_eq!(pushed_out, 3);
        assert_eq!(inbox.recv().await, Some(3));
        assert_eq!(feed.put(0, WAITING_BYTES_MAX), WAITING_MAX - 1);
        assert_eq!(inbox.recv().await, Some(0));
    }

    #[tokio::test]
    async fn one_who_waits_is_woken() {
        let (feed, mut inbox) = inbox();
        let taken = tokio::spawn(async move { (inbox.recv().await, inbox.recv().await) });
        tokio::task::yield_now().await;
        feed.put("here", 4);
        tokio::task::yield_now().await;
        drop(feed);
        assert_eq!(taken.await.expect("it ends"), (Some("here"), None));
    }

    #[tokio::test]
    async fn the_feed_learns_that_nobody_takes_any_more() {
        let (feed, inbox) = inbox::<()>();
        drop(inbox);
        feed.gone().await;
        assert_eq!(feed.put((), 1), 0);
    }
}
