"""Steering by geography, for the benchmarks: a map of the world, clients all over it, and servers that have it.

Every server gets the same database of networks, in each of which is one of eight countries, and answers the same name
with the address of the client's country. Clients are told apart by the client subnet in their queries.

    network -> country      10.1.0.1 .. 10.1.0.8: one address a country, 10.1.0.0 for clients elsewhere
"""

import bisect
import ipaddress
import random
import subprocess
import sys

import common

NAME = "www.example.org"
COUNTRIES = {"AU": "OC", "BR": "SA", "DE": "EU", "GB": "EU", "IN": "AS", "JP": "AS", "US": "NA", "ZA": "AF"}
ELSEWHERE = "10.1.0.0"
ADDRESSES = {country: f"10.1.0.{number}" for number, country in enumerate(COUNTRIES, 1)}

# The first octets of the networks: nothing in these is set apart for a special purpose.
FIRST, LAST = 11, 99
# Networks are /16 to /24, and this part of those that could be halved is: some 370,000 networks.
SHORTEST, LONGEST, HALVED = 16, 24, 0.65
CLIENTS = 1 << 16
# So many clients are asked for before a server is measured.
SAMPLE = 200
SEED = 1


class World:
    """The networks and their countries, the database made of them, and a file of clients' subnets."""

    def __init__(self, path):
        chance = random.Random(SEED)
        first, beyond = FIRST << 24, LAST + 1 << 24
        blocks = range(first, beyond, 1 << 32 - SHORTEST)
        self.networks = [network for block in blocks for network in parts(block, SHORTEST, chance)]
        self.starts = [start for start, _, _ in self.networks]
        self.database, self.subnets = path / "world.mmdb", path / "subnets"
        self.make_database()
        self.clients = [
            ipaddress.ip_network((address, LONGEST))
            for address in chance.sample(range(first, beyond, 1 << 32 - LONGEST), CLIENTS)
        ]
        self.subnets.write_text("".join(f"{client}\n" for client in self.clients))

    def make_database(self):
        """By `make-mmdb`, which is built by then: a Country database for IPv4."""
        lines = "".join(
            f"{ipaddress.ip_address(start)}/{length} continent={COUNTRIES[country]} country={country}\n"
            for start, length, country in self.networks
        )
        command = [common.TARGET / "release/examples/make-mmdb", self.database, "--model", "country"]
        form = ["--record-bits", "32", "--ip-version", "4"]
        subprocess.run([*command, *form], input=lines, text=True, check=True)

    def countries(self, subnet):
        """The countries that are in a subnet."""
        first, last = (bisect.bisect(self.starts, int(end)) for end in (subnet[0], subnet[-1]))
        return {country for _, _, country in self.networks[max(first - 1, 0) : last]}

    def check(self, server, port):
        """Ends the benchmark if an answer is wrong for its client, or for any other client in the answer's scope."""
        for client in self.clients[:SAMPLE]:
            addresses, scope = common.ask_for(client, port, NAME)
            if scope is None or scope > client.prefixlen:
                sys.exit(f"{server}: a scope of {scope} is wrong for {client}")
            countries = self.countries(client.supernet(new_prefix=scope))
            if [ADDRESSES[country] for country in countries] != addresses:
                sys.exit(f"{server}: {addresses} with a scope of {scope} is wrong for {client}: there is {countries}")


def parts(start, length, chance):
    """The networks that a network falls into: first address, prefix length and country."""
    if length < LONGEST and chance.random() < HALVED:
        middle = start + (1 << 31 - length)
        return parts(start, length + 1, chance) + parts(middle, length + 1, chance)
    return [(start, length, chance.choice(list(COUNTRIES)))]


def gdnsd(world, path, port):
    """The geoip plugin, whose map has continents, and countries below them."""
    continents = {continent: [] for continent in COUNTRIES.values()}
    for country, continent in COUNTRIES.items():
        continents[continent].append(f"{country} => [{country}]")
    map_of = ", ".join(f"{continent} => {{ {', '.join(rules)} }}" for continent, rules in continents.items())
    addresses = ", ".join(f"{country} => {address}" for country, address in ADDRESSES.items())
    (path / "zones").mkdir()
    (path / "zones/example.org").write_text(common.zone_file(["www 30 DYNA geoip!www"]))
    (path / "config").write_text(
        f'options => {{ listen => "127.0.0.1:{port}", udp_threads => 1, tcp_threads => 1, edns_client_subnet => true,\n'
        f' run_dir => "{path}/run", state_dir => "{path}/state" }}\n'
        f'plugins => {{ geoip => {{ maps => {{ world => {{ geoip2_db => "{world.database}",\n'
        f" datacenters => [elsewhere, {', '.join(COUNTRIES)}], map => {{ default => [elsewhere], {map_of} }} }} }},\n"
        f" resources => {{ www => {{ map => world, service_types => up,\n"
        f" dcmap => {{ elsewhere => {ELSEWHERE}, {addresses} }} }} }} }} }}\n"
    )
    return ["gdnsd", "-c", path, "start"]


def knot(world, path, port):
    """The geoip module; what it does not place falls through to the zone."""
    (path / "example.org.zone").write_text(common.zone_file([f"www 30 A {ELSEWHERE}"]))
    rules = (f' - geo: "{country}"\n   A: {address}\n' for country, address in ADDRESSES.items())
    (path / "geo.conf").write_text(f"{NAME}:\n{''.join(rules)}")
    (path / "knot.conf").write_text(
        f"server:\n listen: 127.0.0.1@{port}\n udp-workers: 1\n tcp-workers: 1\n background-workers: 1\n"
        f" edns-client-subnet: on\n rundir: {path}\ndatabase:\n storage: {path}/database\n"
        f"mod-geoip:\n - id: world\n   config-file: {path}/geo.conf\n   mode: geodb\n   ttl: 30\n"
        f"   geodb-file: {world.database}\n   geodb-key: country/iso_code\n"
        f"zone:\n - domain: example.org\n   storage: {path}\n   file: example.org.zone\n   module: mod-geoip/world\n"
    )
    return ["knotd", "-c", path / "knot.conf"]


def powerdns(world, path, port):
    """The geoip backend, without the packet cache: the same clients come round within its 20 seconds, so it would hardly
    steer at all. The query cache may stay: it does not keep what depends on a client."""
    hosts = {"ns1": "127.0.0.1", "unknown.map": ELSEWHERE}
    hosts |= {f"{country.lower()}.map": address for country, address in ADDRESSES.items()}
    records = (f"    {host}.example.org:\n      - a: {address}\n" for host, address in hosts.items())
    (path / "zones.yaml").write_text(
        "domains:\n- domain: example.org\n  ttl: 30\n  records:\n    example.org:\n"
        "      - soa: ns1.example.org hostmaster.example.org 1 3600 600 86400 60\n      - ns: ns1.example.org\n"
        f"{''.join(records)}  services:\n    {NAME}: '%cc.map.example.org'\n"
    )
    (path / "pdns.conf").write_text(
        f"launch=geoip\ngeoip-database-files=mmdb:{world.database}\ngeoip-zones-file={path}/zones.yaml\n"
        f"edns-subnet-processing=yes\nlocal-address=127.0.0.1\nlocal-port={port}\nsocket-dir={path}\n"
        "receiver-threads=1\ndistributor-threads=1\ncache-ttl=0\n"
        "daemon=no\nguardian=no\n"
    )
    return ["pdns_server", f"--config-dir={path}"]


def windrose(world, path, port):
    """A pool with the policy `geo`, whose regions are the countries."""
    config = common.windrose_files(path / "world", port, [], steering(), databases=[world.database])
    return [common.TARGET / "release/windrose", "serve", config]


def steering():
    regions = "".join(f'[regions.{country}]\nclients = ["country:{country}"]\n' for country in COUNTRIES)
    endpoints = "".join(
        f'[endpoints.{country}]\nregion = "{country}"\nipv4 = "{address}"\nmonitors = ["web"]\n'
        for country, address in {**ADDRESSES, "rest": ELSEWHERE}.items()
    )
    members = "".join(f'  {{ use = "{country}", regions = ["{country}"] }},\n' for country in COUNTRIES)
    return (
        f'zone = "example.org"\n{regions}[regions.rest]\ndefault = true\n'
        f'[monitors.web]\ntype = "tcp"\nport = 80\n{endpoints}'
        f'[pools.www]\npolicy = "geo"\nmembers = [\n{members}  {{ use = "rest", default = true }},\n]\n'
        f'[names.www]\npool = "www"\nttl = 30\n'
    )
