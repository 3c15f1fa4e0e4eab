# Application credentials: a program logs in as its user, with some of its roles, on one project, for some calls.
$ openstack role create watcher
$ openstack role add --user admin --project admin watcher
$ openstack application credential create --description "Nightly" --role reader --expiration 2100-01-01T00:00:00 --secret hush backup -f value -c name -c secret -c unrestricted
backup
False
hush
$ openstack application credential show backup -f value -c id > backup
$ openstack application credential show backup -f value -c description -c name
backup
Nightly
! openstack application credential create backup
*Conflict*
$ OS_USERNAME= OS_PASSWORD= OS_PROJECT_NAME= OS_DEFAULT_DOMAIN= OS_AUTH_TYPE=v3applicationcredential OS_APPLICATION_CREDENTIAL_ID={backup} OS_APPLICATION_CREDENTIAL_SECRET=hush openstack project list -f value -c Name --my-projects
admin
# Its roles are those it was given, and what they imply; it makes no more of its kind.
! OS_USERNAME= OS_PASSWORD= OS_PROJECT_NAME= OS_DEFAULT_DOMAIN= OS_AUTH_TYPE=v3applicationcredential OS_APPLICATION_CREDENTIAL_ID={backup} OS_APPLICATION_CREDENTIAL_SECRET=hush openstack project create loot
403
! OS_USERNAME= OS_PASSWORD= OS_PROJECT_NAME= OS_DEFAULT_DOMAIN= OS_AUTH_TYPE=v3applicationcredential OS_APPLICATION_CREDENTIAL_ID={backup} OS_APPLICATION_CREDENTIAL_SECRET=hush openstack application credential create child
403
! OS_USERNAME= OS_PASSWORD= OS_PROJECT_NAME= OS_DEFAULT_DOMAIN= OS_AUTH_TYPE=v3applicationcredential OS_APPLICATION_CREDENTIAL_ID={backup} OS_APPLICATION_CREDENTIAL_SECRET=wrong openstack project list
401
# Access rules say which calls it is good for.
@ rules [{"service": "identity", "method": "GET", "path": "/v3/regions"}]
$ openstack application credential create --secret hush --access-rules {rules} mapmaker -f value -c id > mapmaker
$ OS_USERNAME= OS_PASSWORD= OS_PROJECT_NAME= OS_DEFAULT_DOMAIN= OS_AUTH_TYPE=v3applicationcredential OS_APPLICATION_CREDENTIAL_ID={mapmaker} OS_APPLICATION_CREDENTIAL_SECRET=hush openstack region list -f value -c Region
RegionOne
! OS_USERNAME= OS_PASSWORD= OS_PROJECT_NAME= OS_DEFAULT_DOMAIN= OS_AUTH_TYPE=v3applicationcredential OS_APPLICATION_CREDENTIAL_ID={mapmaker} OS_APPLICATION_CREDENTIAL_SECRET=hush openstack service list
401
$ openstack access rule list -f value -c Service -c Method -c Path
identity GET /v3/regions
$ openstack access rule list -f value -c ID > rule
$ openstack access rule show {rule} -f value -c path
/v3/regions
! openstack access rule delete {rule}
403
$ openstack application credential list --sort-column Name -f value -c Name
backup
mapmaker
$ openstack application credential delete backup mapmaker
$ openstack access rule delete {rule}
$ openstack access rule list -f value -c ID
$ openstack application credential list -f value -c ID
$ openstack role delete watcher
