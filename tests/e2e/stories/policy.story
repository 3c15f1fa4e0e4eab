# Stored policies: texts that services may fetch.
@ rules {"admin": "role:admin"}
@ others {"admin": "role:keeper"}
$ openstack policy create --type application/json {rules} -f value -c rules -c type
{"admin": "role:admin"}
application/json
$ openstack policy list -f value -c ID > policy
$ openstack policy list --long -f value -c Type -c Rules
application/json {"admin": "role:admin"}
$ openstack policy set --rules {others} {policy}
$ openstack policy show {policy} -f value -c rules
{"admin": "role:keeper"}
$ openstack policy delete {policy}
$ openstack policy list -f value -c ID
