use super::*;
use orch_adapters::local_tracker::LocalTracker;
use orch_adapters::system_clock::SystemClock;
use orch_ports::clock::Clock;
use orch_ports::forge::StatusState;
use std::sync::Mutex;

/// Hears what is written, and does nothing.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Heard {
    fn hear<T>(&self, texts: &[&str]) -> Result<T, Fault> {
        self.0.lock().unwrap().extend(texts.iter().map(|text| (*text).to_owned()));
        Err(Fault::gone("nothing is done here"))
    }
}

#[async_trait::async_trait]
impl Notifier for Heard {
    async fn tell(&self, notice: &Notice) -> Result<(), Fault> {
        self.hear(&[&notice.text])
    }
}

#[async_trait::async_trait]
impl Forge for Heard {
    fn out_of_service(&self, _: &ProjectKey) -> Option<OutOfService> {
        None
    }
    async fn look_again(&self, _: &ProjectKey) -> Result<(), Fault> {
        self.hear(&[])
    }
    async fn remote(&self, _: &ProjectKey) -> Result<Remote, Fault> {
        self.hear(&[])
    }
    async fn default_branch(&self, _: &ProjectKey) -> Result<String, Fault> {
        self.hear(&[])
    }
    async fn branch_head(&self, _: &ProjectKey, _: &str) -> Result<Option<Sha>, Fault> {
        self.hear(&[])
    }
    async fn ensure_pull_request(
        &self,
        _: &ProjectKey,
        _: &str,
        _: &str,
        title: &str,
        body: &str,
    ) -> Result<PullRequest, Fault> {
        self.hear(&[title, body])
    }
    async fn pull_request(&self, _: &ProjectKey, _: u64) -> Result<PullRequest, Fault> {
        self.hear(&[])
    }
    async fn pull_requests(&self, _: &ProjectKey) -> Result<Vec<PullRequest>, Fault> {
        self.hear(&[])
    }
    async fn close_pull_request(&self, _: &ProjectKey, _: u64) -> Result<(), Fault> {
        self.hear(&[])
    }
    async fn statuses(&self, _: &ProjectKey, _: &Sha) -> Result<Vec<CommitStatus>, Fault> {
        self.hear(&[])
    }
    async fn set_status(&self, _: &ProjectKey, _: &Sha, status: &CommitStatus) -> Result<(), Fault> {
        self.hear(&[&status.description])
    }
    async fn reviews(&self, _: &ProjectKey, _: u64) -> Result<Vec<Review>, Fault> {
        self.hear(&[])
    }
    async fn submit_review(&self, _: &ProjectKey, _: u64, review: &Review) -> Result<(), Fault> {
        self.hear(&[&review.body])
    }
    async fn put_comment(&self, _: &ProjectKey, _: u64, _: &str, body: &str) -> Result<(), Fault> {
        self.hear(&[body])
    }
    async fn merge(
        &self,
        _: &ProjectKey,
        _: u64,
        _: &Sha,
        _: Right<'_>,
        _: MergeMethod,
        message: &str,
    ) -> Result<MergeAnswer, Fault> {
        self.hear(&[message])
    }
}

#[tokio::test]
async fn whatever_orch_writes_where_others_read_it_is_masked_and_clean() {
    let key = "ghp_canary3141ForPeopleOnlyQw";
    let _known = orch_ports::Secret::new(key);
    let said = format!("the agent said \u{1b}[31m{key}\u{1b}[0m\u{202e}");
    let clean = "the agent said ***\\u{202e}";
    let heard = Arc::new(Heard::default());
    let notifier = Outward::<dyn Notifier>::new(Arc::<Heard>::clone(&heard));
    let _ = notifier.tell(&Notice { work_item: None, text: said.clone(), key: "k".into() }).await;

    let (project, anna, commit) = (ProjectKey::new("DEMO"), Actor::new("local:anna"), Sha::new("1a2b3c"));
    let forge = Outward::<dyn Forge>::new(Arc::<Heard>::clone(&heard));
    let _ = forge.ensure_pull_request(&project, "a", "b", &said, &said).await;
    let status = CommitStatus {
        context: "ci".into(),
        state: StatusState::Failure,
        description: said.clone(),
        url: None,
        at: Time(0),
    };
    let _ = forge.set_status(&project, &commit, &status).await;
    let review = Review {
        by: anna.clone(),
        approved: false,
        commit: commit.clone(),
        body: said.clone(),
        official: true,
        at: Time(0),
    };
    let _ = forge.submit_review(&project, 1, &review).await;
    let _ = forge.put_comment(&project, 1, "k", &said).await;
    let _ = forge.merge(&project, 1, &commit, Right::Person, MergeMethod::Merge, &said).await;
    let all = heard.0.lock().unwrap().clone();
    assert_eq!(all, vec![clean; 7]);

    let home = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new().unwrap());
    let inner = Arc::new(LocalTracker::open(&home.path().join("tracker.db"), clock).unwrap());
    let tracker = Outward::<dyn Tracker>::new(inner);
    let ticket = tracker.create(&project, &said, &said, &anna, "key", 0).await.unwrap();
    assert_eq!((ticket.title.as_str(), ticket.body.as_str()), (clean, clean));
    tracker.put_comment(&project, ticket.number, "c", &said).await.unwrap();
    assert_eq!(tracker.comments(&project, ticket.number).await.unwrap()[0].body, clean);
}
