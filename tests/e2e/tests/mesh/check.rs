//! `curfew check`, the program itself. Other tests' namespaces are on the cluster as well, so each test looks at what is
//! said of its own.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use curfew_e2e::{Setup, Shape, Space, Strategy, vendor_job};
use kube::{ResourceExt, config::Kubeconfig};
use serde_json::Value;

use crate::program::{Answer, curfew};

/// What `curfew check` says, for scripts.
fn check(arguments: &[&str], kubeconfig: Option<&str>) -> Result<(Answer, Vec<Value>)> {
    let answer = curfew(&[&["check", "--output", "json"], arguments].concat(), kubeconfig)?;
    let findings = answer.json()?["findings"].as_array().context("no findings")?.clone();
    Ok((answer, findings))
}

/// The findings of a check that hold this text.
fn of<'a>(findings: &'a [Value], subject: &str, text: &str) -> Vec<&'a Value> {
    let holds = |finding: &&Value| {
        finding["subject"] == subject && finding["finding"].as_str().is_some_and(|told| told.contains(text))
    };
    findings.iter().filter(holds).collect()
}

/// There is one, this bad.
fn is(findings: &[Value], severity: &str, subject: &str, text: &str) -> Result<()> {
    let found = of(findings, subject, text);
    ensure!(
        found.len() == 1 && found[0]["severity"] == severity,
        "{severity} {subject} {text}: {findings:#?}"
    );
    Ok(())
}

#[tokio::test]
async fn what_is_installed_here_works_and_tells_what_a_meshed_namespace_comes_to() -> Result<()> {
    Setup::new("check")
        .curfew()
        .mesh(Shape::Linkerd)
        .run(async |space| {
            let (_, findings) = check(&[], None)?;
            is(&findings, "ok", "webhook", space.name())?;
            is(
                &findings,
                "ok",
                "namespaces",
                &format!("{} asks for no mesh; a Job's pod comes to `native`", space.name()),
            )?;
            is(&findings, "ok", "configuration", "00-curfew")?;
            is(&findings, "ok", "deployment", "2 of 2 replicas are ready")?;
            is(&findings, "ok", "policy", "keeps Curfew's right on pods/status")?;
            is(&findings, "ok", "policy", "keeps Curfew's right on its webhook configuration")?;
            is(&findings, "ok", "rights", "has the")?;
            is(&findings, "note", "order", "00-a-test-mesh-never is asked before 00-curfew")?;
            for subject in ["certificate", "rights", "deployment"] {
                let bad: Vec<_> =
                    findings.iter().filter(|f| f["subject"] == subject && f["severity"] != "ok").collect();
                ensure!(bad.is_empty(), "{bad:#?}");
            }
            // Other tests' namespaces come and go.
            let comes_and_goes =
                |subject: &Value| ["webhook", "hooks", "namespaces"].iter().any(|of| subject == of);
            let unseen = findings.iter().find(|of| of["seen"] == false && !comes_and_goes(&of["subject"]));
            ensure!(unseen.is_none(), "{unseen:#?}");
            // The pod was tried, and never made.
            let pods = space.pods("").await?;
            ensure!(pods.is_empty(), "{} pods were made", pods.len());
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_hook_that_takes_restart_policy_away_is_found_and_named() -> Result<()> {
    Setup::new("check strip")
        .curfew()
        .label("mesh.test/strip", "never")
        .run(async |space| {
            let (answer, findings) = check(&[], None)?;
            ensure!(answer.code == Some(1), "{:?}", answer.code);
            let found = of(&findings, "hooks", &format!("in {} ", space.name()));
            let told = found.first().and_then(|finding| finding["finding"].as_str()).unwrap_or_default();
            ensure!(
                told.contains("test-strip-never") && !told.contains("test-strip-ifneeded"),
                "{findings:#?}"
            );
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_pod_that_its_reaper_is_to_end_keeps_curfew_from_being_uninstalled() -> Result<()> {
    Setup::new("check uninstall")
        .curfew()
        .under(Strategy::Reaper)
        .mesh(Shape::Linkerd)
        .run(async |space| {
            space.apply(vendor_job("work", "until [ -e /tmp/enough ]; do sleep 1; done")).await?;
            let pod = space.pod_until("work", "is there", |_| true).await?.name_any();
            let (answer, findings) = check(&["--uninstall"], None)?;
            is(&findings, "fail", "uninstall", &pod)?;
            is(&findings, "warn", "uninstall", "00-curfew is still there")?;
            ensure!(answer.code == Some(1), "{:?}", answer.code);
            Ok(())
        })
        .await
}

/// A kubeconfig of somebody who may nothing.
fn of_nobody(space: &Space) -> Result<PathBuf> {
    let mut config = Kubeconfig::read()?;
    for user in config.auth_infos.iter_mut().filter_map(|user| user.auth_info.as_mut()) {
        user.impersonate = Some("e2e-nobody".to_owned());
    }
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.kubeconfig", space.name()));
    std::fs::write(&file, serde_json::to_string(&config)?)?;
    Ok(file)
}

#[tokio::test]
async fn who_may_not_look_is_told_which_rights_are_missing_and_nothing_is_taken_for_well() -> Result<()> {
    Setup::new("check nobody")
        .run(async |space| {
            let file = of_nobody(space)?;
            let checked = check(&[], Some(&file.display().to_string()));
            std::fs::remove_file(&file)?;
            let (answer, findings) = checked?;
            ensure!(answer.code == Some(2), "{:?}: {findings:#?}", answer.code);
            let well: Vec<_> = findings.iter().filter(|finding| finding["severity"] == "ok").collect();
            // Everybody may ask for the version.
            ensure!(well.len() == 1 && well[0]["subject"] == "nodes", "{well:#?}");
            for right in ["list mutatingwebhookconfigurations", "list nodes", "list namespaces", "list pods"]
            {
                let told = findings.iter().any(|finding| finding["finding"].to_string().contains(right));
                ensure!(told, "{right}: {findings:#?}");
            }
            Ok(())
        })
        .await
}
