//! Who is believed about where a client is, and who is told: with dig, from two addresses of 127/8.

use std::fs;

use crate::query::dig;
use crate::world::{Server, World, ZONE};

/// Listed, both as a resolver that is believed and as a client that is told.
const LISTED: &str = "127.0.0.2";
const STRANGER: &str = "127.0.0.3";

/// A server that believes and tells [`LISTED`] alone.
fn serve(world: &World) -> Server {
    let config = world.path("config/windrose.toml");
    let text = fs::read_to_string(&config).expect("the configuration");
    let believed = format!("[dns]\nclient_subnet_from = [\"{LISTED}\"]");
    fs::write(&config, text.replacen("[dns]", &believed, 1)).expect("written");
    world.write_zone("example.org.zone", ZONE);
    world.write_zone(
        "example.org.toml",
        r#"
        [regions.eu]
        at = [50, 8]
        clients = ["net:198.51.96.0/20"]
        [regions.us]
        at = [39, -77]
        default = true
        [endpoints.fra]
        region = "eu"
        ipv4 = "192.0.2.10"
        [endpoints.iad]
        region = "us"
        ipv4 = "192.0.2.20"
        [pools.www]
        policy = "nearest"
        members = ["fra", "iad"]
        [names."www"]
        pool = "www"
        [debug."_where"]
        pool = "www"
        clients = "127.0.0.2"
        "#,
    );
    world.serve()
}

#[test]
fn dig_is_told_where_its_client_is_if_it_may_ask() {
    let world = World::new("[probe]\nenabled = false\n");
    let server = serve(&world);
    for transport in ["+notcp", "+tcp"] {
        let ask = |source, more: &[&str]| {
            let from = ["-b", source, "_where.example.org", "TXT", transport];
            dig(server.address, &[&from, more].concat())
        };
        assert_eq!(
            ask(LISTED, &["+short", "+subnet=198.51.100.0/24"]),
            "\"resolver 127.0.0.2\" \"subnet 198.51.100.0/24\" \"region eu (net:198.51.96.0/20)\" \
             \"scope /20\" \"pool www: fra\" \"because pool www nearest: fra is Up\"\n"
        );
        let whole = ask(LISTED, &["+subnet=198.51.100.0/24"]);
        assert!(whole.contains("CLIENT-SUBNET: 198.51.100.0/24/24"), "{whole}");
        assert!(ask(LISTED, &["+short"]).contains("\"subnet none\" \"region us (the default)\""));
        let stranger = ask(STRANGER, &[]);
        assert!(stranger.contains("status: NOERROR") && stranger.contains("ANSWER: 0"), "{stranger}");
    }
}

#[test]
fn the_subnet_of_a_resolver_that_is_not_listed_is_neither_used_nor_echoed() {
    let world = World::new("[probe]\nenabled = false\n");
    let server = serve(&world);
    for transport in ["+notcp", "+tcp"] {
        let ask = |source| {
            dig(server.address, &["-b", source, "www.example.org", transport, "+subnet=198.51.100.0/24"])
        };
        let believed = ask(LISTED);
        assert!(believed.contains("192.0.2.10") && believed.contains("198.51.100.0/24/20"), "{believed}");
        let ignored = ask(STRANGER);
        assert!(ignored.contains("192.0.2.20") && !ignored.contains("CLIENT-SUBNET"), "{ignored}");
    }
}
