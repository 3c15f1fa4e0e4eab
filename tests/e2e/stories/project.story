# Projects: a branch of two, its tags and properties, and what must go first.
$ openstack project create --description "The lab" --tag physics --property floor=3 lab -f value -c name -c description
The lab
lab
$ openstack project create --or-show lab -f value -c name
lab
! openstack project create lab
it is not permitted to have two projects
$ openstack project create --parent lab --disable bench -f value -c enabled
False
$ openstack project show lab -f value -c id > lab
$ openstack project show --parents bench -f value -c parents
{'{lab}': *}
$ openstack project show --children lab -f value -c subtree
{'*': None}
$ openstack project list --tags physics -f value -c Name
lab
$ openstack project list --parent lab -f value -c Name
bench
$ openstack project list --not-tags physics --sort-column Name -f value -c Name
admin
bench
service
$ openstack project set --name laboratory --tag chemistry --property floor=4 lab
$ openstack project show laboratory -f json -c tags
{
"tags": [
"chemistry",
"physics"
]
}
$ openstack project show laboratory -f value -c floor
4
$ openstack project set --immutable laboratory
! openstack project delete laboratory
*mmutable*
$ openstack project set --no-immutable laboratory
! openstack project delete laboratory
*not a leaf*
$ openstack project delete bench
$ openstack project delete laboratory
! openstack project show laboratory
No Project found for laboratory
