//! The keys of a steering file: what each is called, what it means, what it looks like.

use std::time::Duration;

use crate::model::{Flap, Governor, OnDown, Policy, Pool};
use crate::spec::prefix::PREFIX;
use crate::spec::reader::{
    Asks, Item, ListOf, NAME, NamedTables, Percent, Problem, Reporter, Shape, TEXT, Table, TableOf, Time,
    Truth, Whole, Word, key,
};
use crate::spec::steering::clients::MATCHER;
use crate::spec::steering::monitor::{IN_A_ROW_MAX, PAUSE_MIN, monitor};
use crate::spec::steering::values::{
    At, FAILBACK_MAX, HOST_NAME, IPV4, IPV6, OWNER, Returning, Seconds, Share, UpAtLeast, ZONE,
};
use crate::spec::steering::{
    DebugSpec, EndpointSpec, MapSpec, MemberSpec, NameSpec, Named, NetsFile, PoolSpec, ProbeSpec, RegionSpec,
    SteeringFile,
};
use crate::spec::{Source, Spanned};

/// All of a file.
pub fn file(table: &mut Table<'_>, source: &Source) -> SteeringFile {
    SteeringFile {
        source: source.clone(),
        zone: table.optional(
            key("zone", "What the names are relative to; if absent, the stem of this file's name."),
            ZONE,
        ),
        governor: table.optional(
            key("governor", "How much automation may take out; if absent, everything."),
            TableOf(governor),
        ),
        regions: named(
            table,
            "regions",
            "Parts of the world: where clients are, and where endpoints are.",
            region,
        ),
        maps: maps(table),
        probes: named(
            table,
            "probes",
            "What is to be known of the probes of the fleet, by their names.",
            probe,
        ),
        monitors: named(
            table,
            "monitors",
            "What to ask endpoints, how to judge the reply, how often.",
            monitor,
        ),
        endpoints: named(table, "endpoints", "Places that serve.", endpoint),
        pools: named(table, "pools", "Members, and the policy that picks among them.", pool),
        names: owners(
            table,
            "names",
            "The names whose answers are chosen: relative to the zone, \"@\", or with a final dot.",
            name,
        ),
        debug: owners(
            table,
            "debug",
            "Names that tell listed clients, by TXT, where they seem to be and what the pool would choose for them.",
            debug,
        ),
    }
}

fn named<T>(
    table: &mut Table<'_>,
    kind: &'static str,
    means: &'static str,
    asks: Asks<Option<T>>,
) -> Vec<Named<T>> {
    let tables = NamedTables { name: NAME, asks };
    table.optional(key(kind, means), tables).map(|written| written.value).unwrap_or_default()
}

fn owners<T>(
    table: &mut Table<'_>,
    kind: &'static str,
    means: &'static str,
    asks: Asks<Option<T>>,
) -> Vec<Named<T>> {
    let tables = NamedTables { name: OWNER, asks };
    table.optional(key(kind, means), tables).map(|written| written.value).unwrap_or_default()
}

/// The regions of `world` stand under `regions`: elsewhere they would be a second place to look for them.
fn maps(table: &mut Table<'_>) -> Vec<Named<MapSpec>> {
    let means = "Maps beside `world`, so that one pool may follow law and another distance.";
    let mut maps = named(table, "maps", means, map);
    for world in maps.iter_mut().filter(|map| map.name.value == WORLD) {
        for region in world.value.regions.drain(..) {
            let problem =
                Problem::new("misplaced-key", "the regions of the map `world` stand under `regions`");
            table.error(region.name.span, problem.hint(format!("write [regions.{}]", region.name.value)));
        }
    }
    maps
}

fn map(table: &mut Table<'_>) -> Option<MapSpec> {
    let client_subnet = key("client_subnet", "Whether it places clients by their client subnet, where sent.");
    Some(MapSpec {
        client_subnet: table.optional(client_subnet.or(true), Truth),
        regions: named(table, "regions", "The regions of this map.", region),
    })
}

fn region(table: &mut Table<'_>) -> Option<RegionSpec> {
    Some(RegionSpec {
        at: table.optional(key("at", "Where it is, for distances: [latitude, longitude] in degrees."), At),
        clients: table.list(
            key(
                "clients",
                "The clients in it; of all rules `net:` beats `asn:` beats `subdivision:` beats `country:` beats \
                 `continent:`, and the longest prefix a shorter one.",
            ),
            MATCHER,
        ),
        nets_file: table
            .optional(
                key("nets_file", "A file with more prefixes, one a line, relative to this file."),
                TEXT,
            )
            .map(NetsFile::named),
        default: table.optional(
            key("default", "Whether it takes the clients that nothing else places.").or(false),
            Truth,
        ),
    })
}

fn endpoint(table: &mut Table<'_>) -> Option<EndpointSpec> {
    Some(EndpointSpec {
        region: table.optional(key("region", "The region it stands in."), NAME),
        at: table.optional(key("at", "Where it is, if not where its region is."), At),
        ipv4: table.optional(key("ipv4", "What a query for A is answered with."), IPV4),
        ipv6: table.optional(key("ipv6", "What a query for AAAA is answered with."), IPV6),
        cname: table.optional(
            key("cname", "Instead of addresses: the name it goes by, with a final dot."),
            HOST_NAME,
        ),
        monitors: table
            .list(key("monitors", "The checks that must pass; without any it is always up."), NAME),
        flap: table.optional(
            key("flap", "If it changes too often it stays down until it is quiet; if absent, never."),
            TableOf(flap),
        ),
    })
}

fn probe(table: &mut Table<'_>) -> Option<ProbeSpec> {
    let site =
        key("site", "The network or building that it shares with others: the probes of a site count as one.");
    Some(ProbeSpec { site: table.optional(site, NAME) })
}

/// A share that cannot be read counts as all: nothing is held back.
fn governor(table: &mut Table<'_>) -> Governor {
    let withdraw_max = key(
        "withdraw_max",
        "No more of all endpoints may be taken out, for the clients of each region and address family.",
    );
    let withdraw_max = table.required(withdraw_max, Percent);
    let within = key("within", "The time within which they are counted.");
    let within = table.defaulted(
        within,
        Time::within(Duration::from_secs(1)..=FLAP_TIME_MAX),
        Duration::from_secs(300),
    );
    Governor { withdraw_max: withdraw_max.map_or(100, |share| share.value), within }
}

fn flap(table: &mut Table<'_>) -> Flap {
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    let time = || Time::within(Duration::from_secs(1)..=FLAP_TIME_MAX);
    Flap {
        changes: table.defaulted(
            key("changes", "So many changes between usable and down are too many."),
            Whole::within(2..=IN_A_ROW_MAX),
            4,
        ),
        within: table.defaulted(
            key("within", "The time within which they are counted."),
            time(),
            minutes(10),
        ),
        hold: table.defaulted(
            key("hold", "For how long it must not change to be up again."),
            time(),
            minutes(5),
        ),
    }
}

/// A policy that cannot be read counts as failover: the pool stays known by its name.
fn pool(table: &mut Table<'_>) -> Option<PoolSpec> {
    let policy = table.required(key("policy", "How one member is picked."), POLICY);
    let members = key("members", "Endpoints or pools, by name, or with settings of their own.");
    let members = table.required(members, ListOf::some(Member));
    Some(PoolSpec {
        policy: policy.unwrap_or(Spanned { value: Policy::Failover, span: 0..0 }),
        members: members
            .map(|list| list.value.into_iter().map(|member| member.value).collect())
            .unwrap_or_default(),
        answers: table.optional(
            key("answers", "How many members one answer carries; if absent 1, for `all` 8."),
            Whole::within(1..=i64::from(Pool::ANSWERS_MAX)),
        ),
        min_up: table.optional(
            key("min_up", "With fewer members up (a number, or a percentage) the pool is down.").or(1),
            UpAtLeast,
        ),
        fallback: table
            .optional(key("fallback", "An endpoint or a pool to use when this pool is down."), NAME),
        on_down: table.optional(
            key("on_down", "What is answered when the pool and its fallback are down.").or("serve-all"),
            ON_DOWN,
        ),
        failback: table
            .optional(key("failback", "When a member that recovered is used again.").or("auto"), Returning),
        slow_start: table.optional(
            key(
                "slow_start",
                "`weighted`: for how long the weight of a member that recovered grows, from a tenth.",
            ),
            Time::within(Duration::from_secs(1)..=SLOW_START_MAX),
        ),
        trickle: table.optional(
            key("trickle", "Share of answers that goes to the next member anyway, to prove it.").or(0),
            Share,
        ),
        fence: table.optional(
            key("fence", "Whether a client never gets an answer from outside its rule.").or(false),
            Truth,
        ),
        sticky: table
            .optional(key("sticky", "Whether the same client subnet gets the same member.").or(false), Truth),
        map: table.optional(key("map", "The map whose regions the rules name.").or("world"), NAME),
        client_subnet: table.optional(
            key("client_subnet", "Whether clients are told apart by their client subnet, where sent.")
                .or(true),
            Truth,
        ),
    })
}

/// A member of a pool: a name, or a table.
struct Member;

impl Shape for Member {
    type Value = MemberSpec;

    fn expects(&self) -> String {
        "the name of an endpoint or pool, or { use = \"...\", ... }".into()
    }

    fn read(&self, item: &Item<'_>, reporter: &mut Reporter) -> Option<MemberSpec> {
        if item.get_ref().is_table() {
            return TableOf(member).read(item, reporter)?;
        }
        if !item.get_ref().is_str() {
            reporter.error(item.span(), Problem::wrong_type(&self.expects(), item));
            return None;
        }
        let picks = Spanned { value: NAME.read(item, reporter)?, span: item.span() };
        Some(MemberSpec { picks, weight: None, bias: None, regions: Vec::new(), default: None })
    }

    fn schema(&self) -> serde_json::Value {
        serde_json::json!({ "anyOf": [NAME.schema(), TableOf(member).schema()] })
    }
}

fn member(table: &mut Table<'_>) -> Option<MemberSpec> {
    let picks = table.required(key("use", "The endpoint or pool."), NAME);
    let weight = table.optional(
        key("weight", "`weighted`: its share; 0: only when every other one is down.").or(1),
        Whole::within(0..=WEIGHT_MAX),
    );
    let bias = table.optional(
        key("bias", "`nearest`, `latency`: pulls clients in (up to 99) or pushes them away (down to -99).")
            .or(0),
        Whole::within(-99..=99),
    );
    let regions = table.list(key("regions", "`geo`: the client regions it is for."), NAME);
    let default =
        table.optional(key("default", "`geo`: whether it is for clients of no rule.").or(false), Truth);
    Some(MemberSpec { picks: picks?, weight, bias, regions, default })
}

/// A name whose pool cannot be read is left out: nothing refers to it.
fn name(table: &mut Table<'_>) -> Option<NameSpec> {
    let pool = table.required(key("pool", "The pool that answers."), NAME);
    let ttl =
        table.optional(key("ttl", "Seconds to live of an answer while all is settled.").or(30), Seconds);
    let ttl_min =
        key("ttl_min", "Seconds to live while something moves; if absent, half of `ttl`, at least 1.");
    let ttl_min = table.optional(ttl_min, Seconds);
    let rto =
        key("rto", "The failover time that must be kept: the configuration is refused if it cannot be.");
    let rto = table.optional(rto, Time::within(PAUSE_MIN..=FAILBACK_MAX));
    Some(NameSpec { pool: pool?, ttl, ttl_min, rto })
}

/// Without its pool it has nothing to tell.
fn debug(table: &mut Table<'_>) -> Option<DebugSpec> {
    let pool = table.required(key("pool", "The pool whose choice is told."), NAME);
    let clients = key("clients", "Who is told: one prefix or address, or a list of them.");
    let clients = table.required(clients, ListOf::one_or_more(PREFIX));
    Some(DebugSpec { pool: pool?, clients: clients.map(|list| list.value).unwrap_or_default() })
}

const POLICY: Word<Policy> = Word {
    what: "policy",
    words: &[
        ("failover", Policy::Failover),
        ("weighted", Policy::Weighted),
        ("nearest", Policy::Nearest),
        ("latency", Policy::Latency),
        ("geo", Policy::Geo),
        ("all", Policy::All),
    ],
};

const ON_DOWN: Word<OnDown> = Word {
    what: "`on_down`",
    words: &[
        ("serve-all", OnDown::ServeAll),
        ("static", OnDown::Static),
        ("nodata", OnDown::NoData),
        ("servfail", OnDown::ServFail),
    ],
};

/// The map that pools go by unless they say otherwise.
const WORLD: &str = "world";

/// The weights of a full pool still add up within 32 bits.
const WEIGHT_MAX: i64 = 1_000_000;

/// Whoever changed so long ago does not flap.
const FLAP_TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Who has recovered a day ago has recovered.
const SLOW_START_MAX: Duration = Duration::from_secs(24 * 60 * 60);
