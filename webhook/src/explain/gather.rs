//! Looks at what is asked about, with the rights of whoever asks.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use kube::Client;
use serde_json::Value;

use super::{
    About, Explanation, Kind, Subject, Surroundings, Target,
    containers::{name, text},
    file::Template,
    job, pod,
    testrun::{self, Answer, TestRun},
};
use crate::{
    check::{self, Probe, Seen, Unseen},
    config::Config,
    inject::find,
    plan::INJECT_LABEL,
    rescue::{self, Denied, denied},
};

/// k6 answers at once; what does not is held up by somebody in between.
const PATIENCE: Duration = Duration::from_secs(5);
/// Runners asked at once: a hundred that keep silent are not to take minutes.
const AT_ONCE: usize = 16;
/// What the API server says where it does not get to pods itself.
const NO_WAY: [&str; 4] = ["i/o timeout", "no route to host", "network is unreachable", "No agent available"];

/// A cluster that objects are looked up in.
pub struct Cluster {
    client: Client,
    once: Client,
}

// === impl Cluster ===

impl Cluster {
    /// The same cluster as `curfew rescue` has it.
    pub fn new(cluster: &rescue::Cluster) -> Self {
        Self { client: cluster.client(), once: cluster.once() }
    }

    /// What is known of a namespace, and of the nodes.
    pub async fn surroundings(&self, namespace: &str, config: Config) -> Surroundings {
        Surroundings::of(&self.client, namespace, config).await
    }

    /// Explains an object that is there.
    ///
    /// # Errors
    /// It is not, or may not be looked at.
    pub async fn explain(
        &self,
        target: &Target,
        namespace: &str,
        around: &Surroundings,
    ) -> Result<Explanation, Denied> {
        let name = &target.name;
        let mut told = match target.kind {
            Kind::Pod => {
                let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
                pod::explain(&self.get(&path, "get pods", namespace, name).await?, around)
            }
            Kind::Job => self.job(namespace, name, around).await?,
            Kind::TestRun => testrun::explain(&self.testrun(namespace, name).await?, around),
        };
        if let Some(why) = &around.unread {
            told.say(About::Unseen, format!("labels and annotations of namespace {namespace}: {why}"));
        }
        Ok(told)
    }

    /// What would be done to what is in a file.
    pub async fn expect(&self, subject: &Subject, namespace: &str, around: &Surroundings) -> Explanation {
        let mut probes = Vec::new();
        for template in &subject.templates {
            probes.push(self.try_out(&template.pod, namespace, around).await);
        }
        around.expect(subject, namespace, &probes)
    }

    /// What the API server would make of a pod, which is not made. A pod of a namespace that did not opt in is labelled
    /// itself, so that what would be is seen.
    async fn try_out(&self, pod: &Value, namespace: &str, around: &Surroundings) -> Probe {
        let mut pod = pod.clone();
        if around.asked(&pod, namespace).is_err() && pod["metadata"]["labels"][INJECT_LABEL].is_null() {
            pod["metadata"]["labels"][INJECT_LABEL] = Value::from("enabled");
        }
        check::dry_run(&self.client, namespace, &pod).await
    }

    async fn job(&self, namespace: &str, name: &str, around: &Surroundings) -> Result<Explanation, Denied> {
        let path = format!("/apis/batch/v1/namespaces/{namespace}/jobs/{name}");
        let job = self.get(&path, "get jobs", namespace, name).await?;
        let pods = self.list("pods", &format!("labelSelector=job-name%3D{name}"), namespace).await?;
        let events = self.events(namespace, &[name]).await;
        let mut told = job::explain(&job, &pods, &events, around);
        if pods.is_empty() && job::finished(&job).is_none() {
            // There is nothing yet to see what was done: what would be.
            for template in find(&job).into_iter().filter_map(|found| Template::of(&job, found, None)) {
                let probe = self.try_out(&template.pod, namespace, around).await;
                let expected = around.expect_one(&template, namespace, Some(&probe));
                told.hangs |= expected.hangs;
                told.lines.extend(expected.lines);
            }
        }
        Ok(told)
    }

    async fn testrun(&self, namespace: &str, name: &str) -> Result<TestRun, Denied> {
        let path = |plural: &str| format!("/apis/k6.io/v1alpha1/namespaces/{namespace}/{plural}/{name}");
        let object = match self.get(&path("testruns"), "get testruns", namespace, name).await {
            // Its older name.
            Err(Denied::Gone(gone)) => self
                .get(&path("k6s"), "get k6s", namespace, name)
                .await
                .map_err(|_| Denied::Gone(format!("testrun {gone}")))?,
            other => other?,
        };
        let own = format!("labelSelector=app%3Dk6,k6_cr%3D{name}");
        let jobs = self
            .list_at(&format!("/apis/batch/v1/namespaces/{namespace}/jobs?{own}"), "list jobs", namespace)
            .await?;
        let pods = self.list("pods", &own, namespace).await?;
        let names: Vec<_> = jobs.iter().map(crate::explain::containers::name).collect();
        let events = self.events(namespace, &names).await;
        let services =
            self.list("services", &format!("{own},runner%3Dtrue"), namespace).await.unwrap_or_default();
        let mut run =
            TestRun { object, jobs, pods, initializer: None, starter: None, services: Vec::new(), events };
        let log = async |pod: Option<&Value>, container: &str| match pod {
            Some(pod) => Some(self.log(namespace, crate::explain::containers::name(pod), container).await),
            None => None,
        };
        run.initializer = log(run.pod("initializer"), "k6").await;
        run.starter = log(run.pod("starter"), "k6-curl").await;
        // Before, there is nobody to ask; afterwards nobody answers.
        if ["created", "started"].contains(&text(&run.object, "/status/stage")) {
            let asked = services.iter().map(async |service| {
                let service = name_of(service);
                let answer = self.ask(namespace, &service).await;
                (service, answer)
            });
            run.services = stream::iter(asked).buffered(AT_ONCE).collect().await;
        }
        Ok(run)
    }

    /// What a runner's Service answers to plain HTTP from outside of the mesh: the API server asks, as the operator does.
    async fn ask(&self, namespace: &str, service: &str) -> Seen<Answer> {
        let path = format!("/api/v1/namespaces/{namespace}/services/http:{service}:6565/proxy/v1/status");
        let Ok(answer) = tokio::time::timeout(PATIENCE, read(&self.once, &path)).await else {
            // Who drops this may let the operator in, and k6 may be slow: it is no refusal.
            let why =
                format!("no answer within {} s: k6 is busy, or a NetworkPolicy drops it", PATIENCE.as_secs());
            return Err(Unseen(why));
        };
        match answer {
            Ok(text) => {
                let status: Value = serde_json::from_str(&text).unwrap_or_default();
                let paused = status.pointer("/data/attributes/paused").is_some_and(|paused| paused == true);
                Ok(Answer::Up { paused })
            }
            Err(kube::Error::Api(status)) if NO_WAY.iter().any(|words| status.message.contains(words)) => {
                Err(Unseen(format!("the API server does not get there: {}", status.message)))
            }
            Err(kube::Error::Api(status)) if !status.message.contains("resource \"services/proxy\"") => {
                Ok(Answer::Refused(format!("{} {}", status.code, status.message)))
            }
            Err(error) => Err(denied(error, "get services/proxy", Some(namespace), service).into()),
        }
    }

    async fn log(&self, namespace: &str, pod: &str, container: &str) -> Seen<String> {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/log?container={container}");
        self.read(&path).await.map_err(|error| denied(error, "get pods/log", Some(namespace), pod).into())
    }

    /// What events say of these objects, oldest first. None where they may not be read: they only add to what is known.
    async fn events(&self, namespace: &str, of: &[&str]) -> Vec<String> {
        let mut events = self
            .list("events", "fieldSelector=involvedObject.kind%3DJob", namespace)
            .await
            .unwrap_or_default();
        events.retain(|event| of.contains(&text(event, "/involvedObject/name")));
        events.sort_by_key(|event| text(event, "/lastTimestamp").to_owned());
        events
            .iter()
            .map(|event| format!("{}: {}", text(event, "/reason"), text(event, "/message")))
            .collect()
    }

    async fn get(&self, path: &str, right: &str, namespace: &str, name: &str) -> Result<Value, Denied> {
        let object = format!("{} {namespace}/{name}", right.trim_start_matches("get ").trim_end_matches('s'));
        let text = self.read(path).await.map_err(|error| denied(error, right, Some(namespace), &object))?;
        serde_json::from_str(&text).map_err(|error| Denied::Unreadable(object, error))
    }

    async fn list(&self, plural: &str, query: &str, namespace: &str) -> Result<Vec<Value>, Denied> {
        let path = format!("/api/v1/namespaces/{namespace}/{plural}?{query}");
        self.list_at(&path, &format!("list {plural}"), namespace).await
    }

    async fn list_at(&self, path: &str, right: &str, namespace: &str) -> Result<Vec<Value>, Denied> {
        let text = self.read(path).await.map_err(|error| denied(error, right, Some(namespace), right))?;
        let mut list: Value =
            serde_json::from_str(&text).map_err(|error| Denied::Unreadable(right.to_owned(), error))?;
        Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    async fn read(&self, path: &str) -> Result<String, kube::Error> {
        read(&self.client, path).await
    }
}

async fn read(client: &Client, path: &str) -> Result<String, kube::Error> {
    let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    client.request_text(request).await
}

fn name_of(object: &Value) -> String {
    name(object).to_owned()
}

#[cfg(test)]
pub(super) mod tests;
