//! A state file, as a disk gives it back: damaged, or whole and about another world. A server starts from whatever it is,
//! and what it keeps itself it reads again.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use windrose::keeper::{Event, Keeper, State};
use windrose::load::StateFile;
use windrose::model::Moment;
use windrose_fuzz::{AT, MINUTES, Scratch, World};

static WORLD: LazyLock<World> = LazyLock::new(World::new);
static SCRATCH: LazyLock<Scratch> = LazyLock::new(|| Scratch::new("health.state"));

fuzz_target!(|octets: &[u8]| {
    // As it is nearly everything fails the checksum: the other half of the work is to have it right.
    for file in [octets.to_vec(), whole(octets)] {
        SCRATCH.write(&file);
        if let Ok(Some(state)) = state_file().read() {
            start(state);
        }
    }
});

fn state_file() -> StateFile<State> {
    StateFile::new(SCRATCH.directory(), "health")
}

/// A file with this in it, and nothing wrong around it.
fn whole(body: &[u8]) -> Vec<u8> {
    let mut file = format!("windrose-state 1 {:08x}\n", crc32fast::hash(body)).into_bytes();
    file.extend(body);
    file
}

fn start(state: State) {
    let mut keeper = Keeper::new(Arc::clone(&WORLD.plan), Some(state.clone()), AT);
    let first = keeper.first();
    assert!(first.generation > state.generation || state.generation == u64::MAX, "an older generation");
    for minutes in [0, 1, 10, 1_000_000] {
        keeper.apply(Event::Tick, Moment(AT.0 + 2_000 + minutes * MINUTES));
    }
    let kept = keeper.state(AT);
    let text = serde_json::to_vec(&kept).expect("a state is JSON");
    let read: State = serde_json::from_slice(&text).expect("what is kept can be read");
    assert_eq!(read, kept, "it does not come back");
    Keeper::new(Arc::clone(&WORLD.plan), Some(read), AT);
}
