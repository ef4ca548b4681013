//! Somebody who rescues pods without being allowed everything.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, ensure};
use curfew_e2e::{Setup, Shape, Space, job};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
    config::Kubeconfig,
};
use serde_json::json;

use super::{hanging, rescue};

/// Who it is.
const USER: &str = "e2e-rescuer";

/// Lets [`USER`] do this with pods of the namespace, and waits until it may.
async fn allow(space: &Space, verbs: &[&str], pod: &str) -> Result<()> {
    let group = "rbac.authorization.k8s.io";
    let rules = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": verbs}]);
    let role = json!({"apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": {"name": USER}, "rules": rules});
    let binding = json!({"apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": USER},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": USER},
        "subjects": [{"apiGroup": group, "kind": "User", "name": USER}]});
    space.apply(role).await?;
    space.apply(binding).await?;
    let pods = Api::<Pod>::namespaced(space.client_as(USER).await?, space.name());
    let dry = PatchParams { dry_run: true, ..PatchParams::default() };
    space
        .until(&format!("{USER} may {verbs:?}"), Duration::from_secs(30), async || {
            let mut answer = pods.list(&ListParams::default()).await.map(drop);
            if verbs.contains(&"patch") {
                answer = answer.and(pods.patch(pod, &dry, &Patch::Merge(json!({}))).await.map(drop));
            }
            Ok(answer.map_err(|error| error.to_string()))
        })
        .await
}

#[tokio::test]
async fn rights_that_are_missing_are_named_and_those_that_are_there_are_used() -> Result<()> {
    Setup::new("rescue rights")
        .mesh(Shape::Linkerd)
        .run(async |space| {
            space.apply(job("work", "true")).await?;
            let pod = hanging(space, "work").await?.name_any();
            let mut of_user = Kubeconfig::read()?;
            for user in of_user.auth_infos.iter_mut().filter_map(|user| user.auth_info.as_mut()) {
                user.impersonate = Some(USER.to_owned());
            }
            let file =
                PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.kubeconfig", space.name()));
            std::fs::write(&file, serde_json::to_string(&of_user)?)?;
            let path = file.to_string_lossy();
            let arguments = ["--yes", "--kubeconfig", &*path];

            let result = async {
                allow(space, &["get", "list"], &pod).await?;
                let answer = rescue(space, &arguments)?;
                ensure!(answer.code == Some(2), "{:?}: {}", answer.code, answer.out);
                for right in ["create and get pods/portforward", "patch pods"] {
                    ensure!(
                        answer.out.contains(&format!("needs the right to {right} in namespace")),
                        "{}",
                        answer.out
                    );
                }
                ensure!(answer.out.contains(": still hangs after"), "{}", answer.out);

                allow(space, &["get", "list", "patch"], &pod).await?;
                let answer = rescue(space, &arguments)?;
                ensure!(
                    answer.code == Some(0) && answer.out.contains("linkerd-proxy: image swapped"),
                    "{}",
                    answer.out
                );
                ensure!(answer.out.contains("create and get pods/portforward"), "{}", answer.out);
                space.job_completes("work").await
            }
            .await;
            std::fs::remove_file(&file)?;
            result
        })
        .await
}
