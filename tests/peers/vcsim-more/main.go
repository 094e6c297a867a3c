// vcsim of the govmomi project, with what it lacks and the tests need: services of hosts (HostServiceSystem), hosts of
// another version of ESXi, and PropertyCollectors that are told of maintenance mode and of custom attributes.
package main

import (
	"crypto/tls"
	"flag"
	"log"
	"net/url"
	"os"
	"os/signal"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/simulator/esx"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const toldEvery = 20 * time.Millisecond

// HostServiceSystem starts and stops the services that the configuration of a host lists.
type HostServiceSystem struct {
	mo.HostServiceSystem
	host *simulator.HostSystem
}

func (s *HostServiceSystem) run(ctx *simulator.Context, id string, running bool) types.BaseMethodFault {
	info := *s.host.Config.Service
	info.Service = append([]types.HostService(nil), info.Service...)
	for i := range info.Service {
		if info.Service[i].Key == id {
			info.Service[i].Running = running
			ctx.Update(s.host, []types.PropertyChange{{Name: "config.service", Val: &info}})
			return nil
		}
	}
	return &types.NotFound{}
}

// StartService is told the key of a service.
func (s *HostServiceSystem) StartService(ctx *simulator.Context, req *types.StartService) soap.HasFault {
	body := new(methods.StartServiceBody)
	if fault := s.run(ctx, req.Id, true); fault != nil {
		body.Fault_ = simulator.Fault("", fault)
	} else {
		body.Res = new(types.StartServiceResponse)
	}
	return body
}

// StopService is told the key of a service.
func (s *HostServiceSystem) StopService(ctx *simulator.Context, req *types.StopService) soap.HasFault {
	body := new(methods.StopServiceBody)
	if fault := s.run(ctx, req.Id, false); fault != nil {
		body.Fault_ = simulator.Fault("", fault)
	} else {
		body.Res = new(types.StopServiceResponse)
	}
	return body
}

func hosts() []*simulator.HostSystem {
	var found []*simulator.HostSystem
	for _, entity := range simulator.Map.All("HostSystem") {
		if host, ok := entity.(*simulator.HostSystem); ok {
			found = append(found, host)
		}
	}
	return found
}

// complete gives each host what it lacks, also those that are added later, and tells of what has changed.
func complete() {
	ctx := simulator.SpoofContext()
	told := map[string][]types.PropertyChange{}
	for ; ; time.Sleep(toldEvery) {
		for _, host := range hosts() {
			ctx.WithLock(host, func() {
				before, known := told[host.Self.Value]
				if !known { // vcsim names a service system here that it does not have
					system := simulator.Map.Put(&HostServiceSystem{host: host}).Reference()
					host.ConfigManager.ServiceSystem = &system
				}
				now := []types.PropertyChange{
					{Name: "runtime.inMaintenanceMode", Val: host.Runtime.InMaintenanceMode},
					{Name: "availableField", Val: append([]types.CustomFieldDef(nil), host.AvailableField...)},
					{Name: "customValue", Val: append([]types.BaseCustomFieldValue(nil), host.CustomValue...)},
				}
				if known && !reflect.DeepEqual(before, now) {
					ctx.Update(host, append([]types.PropertyChange(nil), now...)) // which it changes
				}
				told[host.Self.Value] = now
			})
		}
	}
}

func main() {
	model := simulator.VPX()
	flag.IntVar(&model.Datacenter, "dc", model.Datacenter, "datacenters")
	flag.IntVar(&model.Cluster, "cluster", model.Cluster, "clusters in each")
	flag.IntVar(&model.ClusterHost, "host", model.ClusterHost, "hosts in each cluster")
	flag.IntVar(&model.Host, "standalone-host", model.Host, "hosts in no cluster, in each datacenter")
	flag.IntVar(&model.Machine, "vm", model.Machine, "VMs in each resource pool")
	flag.BoolVar(&model.Autostart, "autostart", model.Autostart, "switch VMs on")
	flag.IntVar(&model.App, "app", model.App, "vApps in each cluster")
	version := flag.String("esx-version", "8.0.2", "version of ESXi on every host")
	delays := flag.String("task-delay", "", "how long tasks take: EnterMaintenanceMode:3000,...")
	listen := flag.String("l", "127.0.0.1:8989", "address to listen on")
	certificate := flag.String("tlscert", "", "file with the certificate")
	key := flag.String("tlskey", "", "file with its key")
	user := flag.String("username", "", "who may log in")
	password := flag.String("password", "", "and with which password")
	flag.Parse()

	if *delays != "" {
		simulator.TaskDelay.MethodDelay = map[string]int{"LockHandoff": 0} // a host can be looked at meanwhile
		for _, each := range strings.Split(*delays, ",") {
			name, text, _ := strings.Cut(each, ":")
			milliseconds, err := strconv.Atoi(text)
			if err != nil {
				log.Fatal(err)
			}
			simulator.TaskDelay.MethodDelay[name] = milliseconds
		}
	}
	pair, err := tls.LoadX509KeyPair(*certificate, *key)
	if err != nil {
		log.Fatal(err)
	}
	esx.HostConfigInfo.Product.Version = *version
	if err := model.Create(); err != nil {
		log.Fatal(err)
	}
	go complete()
	model.Service.RegisterEndpoints = true
	model.Service.Listen = &url.URL{Host: *listen, User: url.UserPassword(*user, *password)}
	model.Service.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server := model.Service.NewServer()
	defer server.Close()

	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	<-ended
	model.Remove()
}
