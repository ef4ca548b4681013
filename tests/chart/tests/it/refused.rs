//! Values that do not hold are refused, and the message names them.

use curfew_chart::{Refused, template};

fn refusal(settings: &[&str]) -> String {
    let arguments: Vec<_> = settings.iter().flat_map(|setting| ["--set-json", setting]).collect();
    let error = template(&arguments).expect_err(&settings.join(" "));
    error.downcast::<Refused>().unwrap().0
}

#[test]
fn by_the_schema() {
    for (setting, place) in [
        ("replica=3", "replica"),
        ("replicas=0", "replicas"),
        ("replicas=\"2\"", "replicas"),
        ("registry=\"ghcr.io/curfew-dev/\"", "registry"),
        ("image.digest=\"0000\"", "digest"),
        ("image.pullPolicy=\"Sometimes\"", "pullPolicy"),
        ("reaper.delivery=\"curl\"", "delivery"),
        ("reaper.resources={\"request\":{}}", "request"),
        ("injectedImagePullSecrets=[{\"name\":\"mirror\"}]", "injectedImagePullSecrets"),
        ("injectedImagePullSecrets=[\"Mirror\"]", "injectedImagePullSecrets"),
        ("defaults.strategy=\"best\"", "strategy"),
        ("defaults.startegy=\"auto\"", "startegy"),
        ("defaults.net=true", "net"),
        ("defaults.readyTimeout=60", "readyTimeout"),
        ("defaults.readyTimeout=\"500ms\"", "readyTimeout"),
        ("defaults.readyTimeout=\"25h\"", "readyTimeout"),
        ("catalogue.sidecars=[{\"containers\":[\"a\"]}]", "sidecars"),
        ("nodes.oldestKubelet=1.30", "oldestKubelet"),
        ("webhook.failurePolicy=\"Retry\"", "failurePolicy"),
        ("webhook.timeoutSeconds=31", "timeoutSeconds"),
        ("webhook.port=0", "port"),
        ("listenAddress=\"::\"", "listenAddress"),
        ("certificates.mode=\"vault\"", "mode"),
        ("certificates.caBundle=\"bm8=\"", "caBundle"),
        ("certificates.certManager.issuerRef={\"kind\":\"ClusterIssuer\"}", "issuerRef"),
        ("rights.scope=\"namespace\"", "scope"),
        ("rights.namespaces=\"load\"", "namespaces"),
        ("admissionPolicy.enabled=\"yes\"", "admissionPolicy"),
        ("podDisruptionBudget.maxUnavailable=0", "maxUnavailable"),
        ("priorityClass.value=2000000000", "priorityClass"),
        ("drain.delay=10", "delay"),
        ("metrics.serviceMonitor.interval=30", "interval"),
        ("metrics.serviceMonitor.interval=\"1.5m\"", "interval"),
        ("metrics.podMonitor.interval=\"0\"", "interval"),
        ("metrics.rules.runbookUrl=\"docs/monitoring.md\"", "runbookUrl"),
        ("metrics.rules.runbookUrl=\"https://wiki.example/alerts#curfew\"", "runbookUrl"),
        ("logFormat=\"xml\"", "logFormat"),
        ("podLabels={\"team\":1}", "podLabels"),
    ] {
        let refusal = refusal(&[setting]);
        assert!(refusal.contains("don't meet the specifications of the schema"), "{setting}: {refusal}");
        assert!(refusal.contains(place), "{setting}: {refusal}");
    }
}

#[test]
fn where_each_holds_but_not_together() {
    for (settings, parts) in [
        (&["webhook.enabled=false", "watch=false"][..], ["webhook.enabled is false", "set watch to true"]),
        (
            &["webhook.enabled=false", "rights={\"scope\":\"namespaces\",\"namespaces\":[\"a\"]}"],
            ["webhook.enabled is false", "rights.scope to cluster"],
        ),
        (&["rights.scope=\"namespaces\""], ["rights.namespaces is empty", "name the namespaces"]),
        (&["rights.namespaces=[\"load\"]"], ["rights.scope is cluster", "set it to namespaces"]),
        (&["certificates.mode=\"files\""], ["certificates.caBundle is empty", "--set-file"]),
        (
            &["certificates.caBundle=\"-----BEGIN CERTIFICATE-----\""],
            ["certificates.mode is self-managed", "set the mode to files"],
        ),
        (&["metrics.port=9443"], ["are both 9443", "set them apart"]),
        (&["hostNetwork=true", "webhook.port=10250"], ["webhook.port is 10250", "set another"]),
        (&["hostNetwork=true", "metrics.port=10250"], ["metrics.port is 10250", "set another"]),
        (
            &["drain={\"delay\":\"0.5m\",\"timeout\":\"500ms\"}"],
            ["are 30.5s together", "terminationGracePeriodSeconds is 30"],
        ),
        (&["terminationGracePeriodSeconds=20"], ["are 20s together", "set that above them"]),
        (
            &["metrics={\"service\":{\"enabled\":false},\"serviceMonitor\":{\"enabled\":true}}"],
            ["metrics.service.enabled is false", "podMonitor"],
        ),
    ] {
        let refusal = refusal(settings);
        for part in parts {
            assert!(refusal.contains(part), "{settings:?}: {refusal}");
        }
    }
}
