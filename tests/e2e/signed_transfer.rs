//! Signed zones in the hands of others: what they are given is whole and proven, and stays so when the zone changes, or
//! its keys do.

use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime};

use windrose::load::seconds;

use crate::dnssec::{
    Case, Proven, STATIC, STEERED, STEERING, ZONE, assert_proven, key_files, said, unproven,
};
use crate::query::dig;
use crate::secondaries::{KEY, Secondary, places};
use crate::transfer::{SECRET, key_file};
use crate::world::{World, wait_until};

/// A world in which `example.org` is signed by keys of these roles and this algorithm, for others to take.
fn world(transfer: &str, roles: &[&str], algorithm: &str) -> World {
    let world = World::new(&format!(
        "[probe]\nenabled = false\n[dnssec]\nzones = [\"example.org\"]\n[tsig]\nkeys = \"tsig.keys\"\n\
         [transfer]\nallow = [{{ key = \"{KEY}\" }}, {{ from = \"127.0.0.9\" }}]\n{transfer}"
    ));
    fs::write(world.path("config/tsig.keys"), key_file(KEY, SECRET)).expect("written");
    world.write_zone("example.org.zone", ZONE);
    world.write_zone("example.org.toml", STEERING);
    for role in roles {
        said(&world, &["keys", "generate", "example.org", "--role", role, "--algorithm", algorithm]);
    }
    at_once(&world);
    world
}

/// All keys sign from the start: here nobody has seen any.
fn at_once(world: &World) {
    for path in key_files(world, ".private") {
        set_time(&path, "Activate", "20200101000000");
    }
}

fn set_time(path: &std::path::Path, word: &str, time: &str) {
    let text = fs::read_to_string(path).expect("readable");
    let line = |line: &str| match line.starts_with(&format!("{word}: ")) {
        true => format!("{word}: {time}\n"),
        false => format!("{line}\n"),
    };
    fs::write(path, text.lines().map(line).collect::<String>()).expect("written");
}

#[test]
fn rfc_4035_section_2_the_whole_zone_is_signed_as_the_tools_of_others_want_it() {
    for (roles, algorithm) in [(&["csk"][..], "ed25519"), (&["ksk", "zsk"], "ecdsa-p256")] {
        let world = world("", roles, algorithm);
        let server = world.serve();
        let whole = ["example.org", "AXFR", "-b", "127.0.0.9", "+onesoa", "+nostats", "+nocmd"];
        let whole = dig(server.address, &whole);
        let file = world.path("whole.zone");
        fs::write(&file, &whole).expect("written");
        let file = file.display().to_string();
        for command in
            [&["dnssec-verify", "-z", "-o", "example.org", &file][..], &["ldns-verify-zone", &file]]
        {
            let output = Command::new(command[0]).args(&command[1..]).output();
            let output = output.unwrap_or_else(|error| panic!("{}: {error} (tools/install)", command[0]));
            assert!(output.status.success(), "{command:?}: {output:?}\n{whole}");
        }
        // Nobody speaks for what is cut off, nor for what is needed to get there.
        let of = |name: &str| {
            let name = format!("{name}.example.org.");
            let lines = whole.lines().filter(|line| line.split_whitespace().next() == Some(&name));
            lines.map(|line| line.split_whitespace().nth(3).expect("a type")).collect::<Vec<_>>()
        };
        assert_eq!(of("ns.insecure"), ["A"]);
        assert_eq!(of("insecure"), ["NS", "NSEC", "RRSIG"]);
        assert_eq!(of("secure"), ["NS", "DS", "RRSIG", "NSEC", "RRSIG"]);
    }
}

#[test]
fn what_nsd_knot_and_bind_answer_of_a_signed_zone_is_proven() {
    let places = places();
    let told: Vec<String> =
        places.iter().map(|place| format!("{{ to = \"{}\", key = \"{KEY}\" }}", place.address)).collect();
    let world = world(&format!("notify = [{}]\n", told.join(", ")), &["csk"], "ecdsa-p256");
    let server = world.serve();
    let secondaries: Vec<Secondary> =
        places.iter().map(|place| place.start(server.address, SECRET)).collect();
    let follow = |arguments: &[&str], expected: &str| {
        for secondary in &secondaries {
            wait_until(&format!("{} answers {expected} for {arguments:?}", secondary.name), || {
                secondary.dig(arguments).contains(expected).then_some(())
            });
        }
    };
    follow(&["example.org", "SOA"], "\tSOA\t");
    // A name that is not there is proven not to be, where we say that it has no records.
    let is_compact = |case: &&Case| case.1 != "NSEC";
    let cases: Vec<Case> = STATIC.iter().chain(STEERED).filter(is_compact).copied().collect();
    for secondary in &secondaries {
        let wrong = unproven(&world, secondary.address, &cases);
        assert!(wrong.is_empty(), "{}: {}", secondary.name, wrong.join("\n"));
    }
    // Refresh is two hours away: only who is told can know.
    world.write_zone("example.org.zone", &format!("{ZONE}later 60 IN A 192.0.2.99\n"));
    follow(&["later.example.org", "A"], "192.0.2.99");
    let later = [Case("later.example.org", "A", Proven::Positive)];
    secondaries.iter().for_each(|secondary| assert_proven(&world, secondary.address, &later));
    // A key that is shown when its time has come, with nothing else to go by.
    said(&world, &["keys", "generate", "example.org", "--role", "zsk"]);
    let soon = seconds(SystemTime::now() + Duration::from_secs(4)).compact();
    for path in key_files(&world, ".private") {
        if fs::read_to_string(path.with_extension("key")).expect("readable").contains("DNSKEY 256") {
            set_time(&path, "Publish", &soon);
            set_time(&path, "Activate", &soon);
        }
    }
    follow(&["example.org", "DNSKEY"], "DNSKEY\t256");
    let keys =
        [Case("example.org", "DNSKEY", Proven::Positive), Case("static.example.org", "A", Proven::Positive)];
    secondaries.iter().for_each(|secondary| assert_proven(&world, secondary.address, &keys));
}
