use super::*;
use clap::Parser;
use std::time;

#[derive(Debug, Parser)]
struct Program {
    #[command(flatten)]
    args: ServeArgs,
}

fn parse(flags: &str) -> Result<ServeArgs, clap::Error> {
    Program::try_parse_from(std::iter::once("serve").chain(flags.split_whitespace()))
        .map(|program| program.args)
}

fn config_of(flags: &str) -> anyhow::Result<(Config, Option<Identity>)> {
    parse(flags)?.server()
}

#[test]
fn defaults_are_the_servers_own() {
    let (config, identity) = config_of("--self-signed").unwrap();
    let Some(Identity::SelfSigned(names)) = identity else { panic!("{identity:?}") };
    assert_eq!(names.iter().map(ToString::to_string).collect::<Vec<_>>(), ["localhost", "127.0.0.1"]);
    assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
}

#[test]
fn without_a_webhook_no_certificate_is_needed() {
    assert!(config_of("--no-webhook").unwrap().1.is_none());
    for flags in ["--no-webhook --self-signed", "--no-webhook --offline", "--own-pod curfew-a"] {
        assert!(config_of(flags).is_err(), "{flags}");
    }
}

#[test]
fn a_ca_of_its_own_needs_a_secret_and_a_namespace() {
    let args = parse("--tls-secret ca --own-namespace ns --service hook").unwrap();
    let place = args.place().unwrap();
    assert_eq!((&*place.secret, &*place.namespace, &*place.configuration), ("ca", "ns", "00-curfew"));
    let names = place.names().unwrap();
    assert_eq!(names.iter().map(ToString::to_string).collect::<Vec<_>>(), ["hook.ns.svc", "hook.ns"]);
    assert!(matches!(args.server().unwrap().1, Some(Identity::Given(_))));
    for flags in ["", " --own-namespace ns --self-signed", " --own-namespace ns --no-webhook"] {
        assert!(parse(&format!("--tls-secret ca{flags}")).is_err(), "{flags}");
    }
}

#[test]
fn flags_reach_the_server() {
    let (config, identity) = config_of(
        "--listen [::1]:0 --admin-listen 127.0.0.1:1 --tls-cert c --tls-key k --max-connections 7 \
         --drain-delay 0 --drain-timeout 1m30s --announce a",
    )
    .unwrap();
    assert!(matches!(identity, Some(Identity::Files(Files { cert, .. })) if cert.ends_with("c")));
    assert_eq!((config.listen.to_string(), config.admin_listen.port()), ("[::1]:0".into(), 1));
    assert_eq!(config.limits.connections, 7);
    assert_eq!((config.drain_delay, config.drain_timeout.as_secs()), (time::Duration::ZERO, 90));
    assert_eq!(config.announce, Some("a".into()));
}

#[test]
fn a_mistake_is_named_with_its_flag() {
    for (flags, part) in [
        ("", "give --tls-cert FILE and --tls-key FILE, or --tls-secret"),
        ("--tls-cert c", "without --tls-key"),
        ("--tls-key k", "without --tls-cert"),
        ("--self-signed --tls-cert c --tls-key k", "--self-signed"),
        ("--self-signed --drain-delay 10", "--drain-delay"),
        ("--self-signed --listen here", "--listen"),
        ("--self-signed --max-connections 0", "--max-connections"),
        ("--tls-secret s --own-namespace n --offline", "--offline"),
        ("--tls-secret s", "--own-namespace"),
        ("--self-signed --self-signed-san a..b", "--self-signed-san"),
    ] {
        let error = config_of(flags).unwrap_err().to_string();
        assert!(error.contains(part), "{flags}: {error}");
    }
}

#[test]
fn lives_have_bounds() {
    let times = |flags: &str| {
        let words = ["serve"].into_iter().chain(flags.split_whitespace());
        Program::try_parse_from(words).map_err(anyhow::Error::from)?.args.times()
    };
    assert_eq!(times("").unwrap().hold, time::Duration::from_secs(30));
    assert_eq!(times("--ca-life 1m --leaf-life 30s").unwrap().hold, time::Duration::from_secs(5));
    for (flags, part) in [
        ("--ca-life 59s --leaf-life 30s", "--ca-life 59s"),
        ("--ca-life 90000h", "--ca-life 90000h"),
        ("--leaf-life 29s", "--leaf-life 29s"),
        ("--ca-life 1h", "--leaf-life 168h"),
    ] {
        let error = times(flags).unwrap_err().to_string();
        assert!(error.contains(part), "{flags}: {error}");
    }
}
