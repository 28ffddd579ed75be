//! An API server of a test's own, as tests of other packages use it.

mod clusters {
    use labs::kubernetes::{ApiServer, Setup};
    use labs::wait;
    use std::time::Duration;

    const LIMIT: Duration = Duration::from_secs(20);

    #[test]
    fn an_api_server_keeps_what_it_is_told() {
        labs::require!("root", "kubernetes");
        labs::sandbox!(|sandbox| {
            let setup = Setup { audit: true, ..Setup::default() };
            let mut api = ApiServer::with(sandbox, setup);
            api.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: lab}");
            api.apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: agent, namespace: lab}");
            let refused = api.try_apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: no_name}");
            assert!(refused.unwrap_err().contains("no_name"));

            // A service account has a name and no rights.
            let config = api.kubeconfig_of("lab", "agent");
            let config = config.to_str().unwrap();
            let refused = api.try_kubectl(&["--kubeconfig", config, "get", "nodes"]).unwrap_err();
            assert!(refused.contains("system:serviceaccount:lab:agent"), "{refused}");
            let asked = "\"username\":\"system:serviceaccount:lab:agent\"";
            wait::until("the request in the audit log", LIMIT, || api.audit().contains(asked));

            // What it holds is etcd's; without it nothing answers.
            api.kill();
            assert!(api.try_kubectl(&["get", "nodes"]).is_err());
            api.start_again(&[]);
            assert!(api.kubectl(&["get", "namespaces", "--output=name"]).contains("namespace/lab\n"));
        });
    }
}
