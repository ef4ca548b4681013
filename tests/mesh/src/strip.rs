//! A hook compiled against the Pod of Kubernetes 1.27. It reads a pod into that type and writes it back whole, as many
//! hooks do, and what the type does not know is gone: a native sidecar is an ordinary init container then.

use serde_json::Value;

/// What has come to containers since; `*` stands for every element of a list.
const OF_CONTAINERS: [&str; 9] = [
    "restartPolicy",
    "restartPolicyRules",
    "lifecycle/stopSignal",
    "lifecycle/postStart/sleep",
    "lifecycle/preStop/sleep",
    "securityContext/appArmorProfile",
    "volumeMounts/*/recursiveReadOnly",
    "env/*/valueFrom/fileKeyRef",
    "resources/claims/*/request",
];

/// What has come to the rest of a pod.
const OF_PODS: [&str; 8] = [
    "spec/hostnameOverride",
    "spec/resources",
    "spec/securityContext/appArmorProfile",
    "spec/securityContext/seLinuxChangePolicy",
    "spec/securityContext/supplementalGroupsPolicy",
    "spec/volumes/*/image",
    "spec/volumes/*/projected/sources/*/clusterTrustBundle",
    "spec/volumes/*/projected/sources/*/podCertificate",
];

/// The pod as such a hook answers it.
pub(crate) fn strip(pod: &Value) -> Value {
    let mut stripped = pod.clone();
    for path in OF_PODS {
        remove(&mut stripped, path);
    }
    for list in ["containers", "initContainers"] {
        for path in OF_CONTAINERS {
            remove(&mut stripped, &format!("spec/{list}/*/{path}"));
        }
    }
    stripped
}

fn remove(value: &mut Value, path: &str) {
    match path.split_once('/') {
        Some(("*", rest)) => {
            for element in value.as_array_mut().into_iter().flatten() {
                remove(element, rest);
            }
        }
        Some((name, rest)) => {
            if let Some(inner) = value.get_mut(name) {
                remove(inner, rest);
            }
        }
        None => {
            if let Some(map) = value.as_object_mut() {
                map.shift_remove(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_1_27_does_not_know_is_gone_and_all_else_stays() {
        let pod = json!({ "metadata": { "name": "work" }, "spec": {
            "restartPolicy": "OnFailure",
            "initContainers": [
                { "name": "first" },
                { "name": "proxy", "restartPolicy": "Always", "lifecycle": { "preStop": { "sleep": { "seconds": 1 } } } },
            ],
            "containers": [{
                "name": "main", "restartPolicy": "Never", "restartPolicyRules": [{ "action": "Restart" }],
                "volumeMounts": [{ "name": "data", "mountPath": "/data", "recursiveReadOnly": "IfPossible" }],
            }],
            "volumes": [{ "name": "data", "image": { "reference": "x" } }, { "name": "other", "emptyDir": {} }],
        }});
        let stripped = json!({ "metadata": { "name": "work" }, "spec": {
            "restartPolicy": "OnFailure",
            "initContainers": [{ "name": "first" }, { "name": "proxy", "lifecycle": { "preStop": {} } }],
            "containers": [{ "name": "main", "volumeMounts": [{ "name": "data", "mountPath": "/data" }] }],
            "volumes": [{ "name": "data" }, { "name": "other", "emptyDir": {} }],
        }});
        assert_eq!(strip(&pod), stripped);
        assert_eq!(strip(&stripped), stripped);
    }
}
