# Roles: global ones, those of a domain, what they imply, and to whom they are given.
$ openstack role create --description "Looks after the lab" keeper -f value -c name -c description
keeper
Looks after the lab
$ openstack role show keeper -f value -c id > keeper
$ openstack role list --sort-column Name -f value -c Name
ResellerAdmin
admin
keeper
manager
member
reader
service
$ openstack role set --name warden --description "Looks on" keeper
$ openstack role show warden -f value -c description
Looks on
$ openstack implied role create warden --implied-role reader -f value -c implies
*
$ openstack implied role list -f value -c "Prior Role Name" -c "Implied Role Name"
*
*
*
warden reader
! openstack implied role create reader --implied-role warden
*imply itself*
! openstack implied role create warden --implied-role admin
*no role may imply*
$ openstack user create dora -f value -c id > dora
$ openstack role add --user dora --project admin warden
$ openstack role assignment list --user dora --names -f value -c Role -c User -c Project
warden dora@Default admin@Default
$ openstack role assignment list --user dora --effective --names --sort-column Role -f value -c Role
reader
warden
$ openstack role add --user dora --domain default --inherited reader
$ openstack role assignment list --user dora --inherited -f value -c Domain -c Inherited
default True
$ openstack role add --user dora --system all reader
$ openstack role assignment list --user dora --system all -f value -c System
all
$ openstack role remove --user dora --system all reader
$ openstack role remove --user dora --domain default --inherited reader
$ openstack role remove --user dora --project admin warden
$ openstack role assignment list --user dora -f value -c Role
$ openstack implied role delete warden --implied-role reader
$ openstack role create --domain default guest -f value -c domain_id
default
$ openstack role list --domain default -f value -c Name
guest
$ openstack role delete --domain default guest
$ openstack role delete warden
$ openstack user delete dora
! openstack role delete admin
*mmutable*
