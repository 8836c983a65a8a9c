//! What was signed before: one signature for each distinct record set and key.
//!
//! ```text
//!   key, owner, type, TTL, RDATA --two hashes of 64 bits--> shard --> table --> entry { when, signature }
//! ```
//!
//! Bounded: a full shard forgets what was not asked for since the hand of its clock last came by (CLOCK), so that
//! a flood of names that do not exist, each asked once, pushes out little but itself. A signature takes about
//! 105 bytes: 96 of the entry, the rest of the table; a million take 105 MB.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;

use crate::dnssec::key::SIGNATURE;

/// Signatures that were made, for all threads.
#[derive(Debug)]
pub struct Cache {
    shards: Box<[Mutex<Shard>]>,
    /// With secrets of their own, so that nobody can make two sets look the same.
    hashers: [RandomState; 2],
}

/// Which record set, as signed by which key: 128 bits of hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Print {
    place: u64,
    check: u64,
}

/// A signature, and when it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) inception: u32,
    pub(super) expiration: u32,
    pub(super) octets: [u8; SIGNATURE],
}

/// What a cache has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Signatures that are held.
    pub held: u64,
    /// Signatures that were made.
    pub made: u64,
    /// Signatures that were given again.
    pub given: u64,
    /// Signatures that were forgotten to make room.
    pub forgotten: u64,
}

#[derive(Debug)]
struct Shard {
    table: HashTable<u32>,
    entries: Vec<Entry>,
    max: usize,
    /// The next entry that may have to go.
    hand: usize,
    figures: Figures,
}

#[derive(Debug)]
struct Entry {
    print: Print,
    held: Held,
    /// Asked for since the hand came by.
    used: bool,
}

impl Cache {
    /// A cache of so many signatures at most. `chance`: of this process alone.
    pub fn new(max: usize, chance: [RandomState; 2]) -> Self {
        let shard = |index: usize| {
            let max = (max / SHARDS + usize::from(index < max % SHARDS)).max(1);
            Mutex::new(Shard {
                table: HashTable::new(),
                entries: Vec::new(),
                max,
                hand: 0,
                figures: Figures::default(),
            })
        };
        Self { shards: (0..SHARDS).map(shard).collect(), hashers: chance }
    }

    /// What it has done so far.
    pub fn figures(&self) -> Figures {
        self.shards.iter().map(|shard| locked(shard).figures()).fold(Figures::default(), Figures::plus)
    }

    /// The print of what these octets say.
    #[inline]
    pub(super) fn print<'o>(&self, octets: impl IntoIterator<Item = &'o [u8]> + Clone) -> Print {
        let hash = |hasher: &RandomState| {
            let mut state = hasher.build_hasher();
            octets.clone().into_iter().for_each(|octets| state.write(octets));
            state.finish()
        };
        Print { place: hash(&self.hashers[0]), check: hash(&self.hashers[1]) }
    }

    /// What is held of it, if that is `good` still.
    #[inline]
    pub(super) fn get(&self, print: Print, good: impl FnOnce(&Held) -> bool) -> Option<Held> {
        let mut shard = self.shard(print);
        let index = shard.find(print)?;
        let entry = &mut shard.entries[index];
        if !good(&entry.held) {
            return None;
        }
        entry.used = true;
        let held = entry.held;
        shard.figures.given += 1;
        Some(held)
    }

    /// Keeps it, in place of what was held of it.
    pub(super) fn put(&self, print: Print, held: Held) {
        let mut shard = self.shard(print);
        shard.figures.made += 1;
        match shard.find(print) {
            Some(index) => shard.entries[index].held = held,
            None => shard.insert(Entry { print, held, used: false }),
        }
    }

    fn shard(&self, print: Print) -> MutexGuard<'_, Shard> {
        // The table goes by the other bits.
        locked(&self.shards[print.check as usize % SHARDS])
    }
}

impl Print {
    /// A number below `below` that is of this print.
    pub(super) fn spread(self, below: u64) -> u64 {
        self.check.checked_rem(below).unwrap_or(0)
    }
}

impl Shard {
    #[inline]
    fn find(&self, print: Print) -> Option<usize> {
        let same = |&index: &u32| self.entries[index as usize].print == print;
        self.table.find(print.place, same).map(|&index| index as usize)
    }

    fn insert(&mut self, entry: Entry) {
        let place = entry.print.place;
        let index = if self.entries.len() < self.max {
            self.make_room();
            self.entries.push(entry);
            self.entries.len() - 1
        } else {
            let index = self.forget_one();
            self.entries[index] = entry;
            index
        };
        let entries = &self.entries;
        self.table.insert_unique(place, index as u32, |&index| entries[index as usize].print.place);
    }

    /// Room for a quarter more at once, and never for more than there may be.
    fn make_room(&mut self) {
        if self.entries.len() == self.entries.capacity() {
            let more = (self.entries.len() / 4).max(16).min(self.max - self.entries.len());
            self.entries.reserve_exact(more);
        }
    }

    /// Takes an entry that was not used lately out of the table; its place.
    fn forget_one(&mut self) -> usize {
        loop {
            let index = self.hand;
            self.hand = (self.hand + 1) % self.entries.len();
            if std::mem::take(&mut self.entries[index].used) {
                continue;
            }
            let place = self.entries[index].print.place;
            if let Ok(found) = self.table.find_entry(place, |&other| other as usize == index) {
                found.remove();
            }
            self.figures.forgotten += 1;
            return index;
        }
    }

    fn figures(&self) -> Figures {
        Figures { held: self.entries.len() as u64, ..self.figures }
    }
}

impl Figures {
    fn plus(self, other: Self) -> Self {
        Self {
            held: self.held + other.held,
            made: self.made + other.made,
            given: self.given + other.given,
            forgotten: self.forgotten + other.forgotten,
        }
    }
}

/// What a thread that panicked left behind is whole: entries are replaced in one piece.
fn locked(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Threads seldom wait for one another.
const SHARDS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(max: usize) -> Cache {
        Cache::new(max, [RandomState::new(), RandomState::new()])
    }

    fn print(cache: &Cache, number: u64) -> Print {
        cache.print([&number.to_be_bytes()[..]])
    }

    fn held(expiration: u32) -> Held {
        Held { inception: 0, expiration, octets: [7; SIGNATURE] }
    }

    #[test]
    fn what_was_signed_is_given_again_while_it_is_good() {
        let cache = cache(100);
        let one = print(&cache, 1);
        assert_eq!(cache.get(one, |_| true), None);
        cache.put(one, held(5));
        assert_eq!(cache.get(one, |_| true), Some(held(5)));
        assert_eq!(cache.get(one, |_| false), None);
        cache.put(one, held(9));
        assert_eq!(cache.get(one, |_| true), Some(held(9)));
        assert_eq!(cache.get(print(&cache, 2), |_| true), None);
        assert_eq!(cache.figures(), Figures { held: 1, made: 2, given: 2, forgotten: 0 });
    }

    #[test]
    fn a_full_cache_stays_as_large_as_it_is_and_keeps_what_is_asked_for() {
        let cache = cache(6400);
        for number in 0..1000 {
            cache.put(print(&cache, number), held(1));
        }
        for flood in 0..20_000 {
            cache.put(print(&cache, 1_000_000 + flood), held(1));
            cache.get(print(&cache, flood % 1000), |_| true);
        }
        let kept = (0..1000).filter(|number| cache.get(print(&cache, *number), |_| true).is_some()).count();
        assert!(cache.figures().held <= 6400);
        assert_eq!(kept, 1000, "a flood of names that are asked once pushes out only itself");
    }

    #[test]
    fn a_million_signatures_fit_and_take_105_bytes_each() {
        let cache = cache(1_000_000);
        for number in 0..1_100_000 {
            cache.put(print(&cache, number), held(1));
        }
        let mut octets = 0;
        for shard in &cache.shards {
            let shard = locked(shard);
            octets += shard.entries.capacity() * size_of::<Entry>() + shard.table.allocation_size();
        }
        assert_eq!(cache.figures().held, 1_000_000);
        assert!(octets <= 107_000_000, "{octets} octets");
    }
}
