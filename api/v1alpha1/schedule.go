package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Schedule is a maintenance window: the clusters that it picks are changed only while it is open.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=schedules
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
// +kubebuilder:printcolumn:name="Schedule",type=string,JSONPath=`.spec.schedule`
// +kubebuilder:printcolumn:name="Duration",type=string,JSONPath=`.spec.duration`
// +kubebuilder:printcolumn:name="Active",type=string,JSONPath=`.status.active`
// +kubebuilder:printcolumn:name="NextStart",type=string,JSONPath=`.status.nextStartTime`
type Schedule struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   ScheduleSpec   `json:"spec,omitempty"`
	Status ScheduleStatus `json:"status,omitempty"`
}

// ScheduleList is a list of Schedules.
//
// +kubebuilder:object:root=true
type ScheduleList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Schedule `json:"items"`
}

// ScheduleSpec says when, how long and for which clusters a window opens.
type ScheduleSpec struct {
	// Schedule is a cron expression with seconds first.
	Schedule string `json:"schedule,omitempty"`
	// Duration that the window stays open.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self == '0' || self.matches('^([0-9]+([.][0-9]+)?(ns|us|µs|ms|s|m|h))+$') && duration(self) <= duration('2562047h')",message="must be a Go duration such as 15s, 5m or 1h30m, at most 2562047h; days and weeks have no unit"
	Duration metav1.Duration `json:"duration,omitempty"`
	// Location is the time zone by its IANA name. Empty means the hub's.
	Location string `json:"location,omitempty"`
	// Targets of the schedule.
	Targets ScheduleTargets `json:"targets,omitempty"`
}

// ScheduleTargets are what a schedule is for.
type ScheduleTargets struct {
	// Clusters it is for; a cluster that any of them picks.
	Clusters []ScheduleTarget `json:"clusters,omitempty"`
}

// ScheduleTarget picks clusters. All criteria that are set must hold.
type ScheduleTarget struct {
	// Name to show.
	// +nullable
	Name string `json:"name,omitempty"`
	// ClusterName picks one cluster.
	// +nullable
	ClusterName string `json:"clusterName,omitempty"`
	// ClusterSelector picks clusters by label. An empty selector picks all.
	// +nullable
	ClusterSelector *metav1.LabelSelector `json:"clusterSelector,omitempty"`
	// ClusterGroup picks the clusters of one group.
	// +nullable
	ClusterGroup string `json:"clusterGroup,omitempty"`
	// ClusterGroupSelector picks the clusters of groups by the groups' labels.
	// +nullable
	ClusterGroupSelector *metav1.LabelSelector `json:"clusterGroupSelector,omitempty"`
}

// ScheduleStatus is what is known of a schedule.
type ScheduleStatus struct {
	// Active tells that the window is open.
	Active bool `json:"active,omitempty"`
	// NextStartTime is when the window opens next.
	NextStartTime metav1.Time `json:"nextStartTime,omitempty"`
	// Conditions of the schedule.
	Conditions []GenericCondition `json:"conditions,omitempty"`
	// MatchingClusters that the schedule picks.
	MatchingClusters []string `json:"matchingClusters,omitempty"`
}
