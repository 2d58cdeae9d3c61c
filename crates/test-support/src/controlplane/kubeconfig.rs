//! How others find the API server, each as a user of its own.

use std::path::PathBuf;
use std::sync::Mutex;

use super::ControlPlane;

impl ControlPlane {
    /// A kubeconfig file of `user`.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.kubeconfig_by(user, self.apiserver_port)
    }

    /// A kubeconfig file of `user`, whose requests go to `port`.
    pub fn kubeconfig_by(&self, user: &str, port: u16) -> PathBuf {
        // Tests run in parallel, and none may read what another has half written.
        static WRITING: Mutex<()> = Mutex::new(());
        let _writing = WRITING.lock();
        let path = self.folder.join(format!("{user}-{port}.kubeconfig"));
        if !path.exists() {
            std::fs::write(&path, self.kubeconfig_text(user, port)).expect("a kubeconfig");
        }
        path
    }

    fn kubeconfig_text(&self, user: &str, port: u16) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: x\n\
             clusters:\n- name: x\n  cluster:\n    server: https://127.0.0.1:{port}\n    \
             certificate-authority: {ca}\n\
             contexts:\n- name: x\n  context: {{cluster: x, user: x}}\n\
             users:\n- name: x\n  user: {{token: {user}}}\n",
            ca = self.folder.join("apiserver.crt").display(),
        )
    }
}
