# Groups: who is in them, and what they pass on.
$ openstack group create --description "All of them" staff -f value -c name -c description
All of them
staff
$ openstack user create bob -f value -c id > bob
$ openstack user create cleo -f value -c id > cleo
$ openstack group add user staff bob cleo
$ openstack user list --group staff --sort-column Name -f value -c Name
bob
cleo
$ openstack group contains user staff bob
bob in group staff
$ openstack group remove user staff cleo
$ openstack group contains user staff cleo
cleo not in group staff
$ openstack group list --user bob -f value -c Name
staff
$ openstack role add --group staff --project admin reader
$ openstack role assignment list --user bob --effective --names -f value -c Role -c Project
reader admin@Default
$ openstack group set --name crew --description "" staff
$ openstack group show crew -f value -c name
crew
$ openstack group list -f value -c Name
crew
$ openstack group delete crew
$ openstack role assignment list --user bob --effective -f value -c Role
$ openstack user delete bob cleo
! openstack group show crew
No Group found for crew
